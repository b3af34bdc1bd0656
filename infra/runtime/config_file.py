"""Writes and reads `runtime.toml`, by which every other command reaches a local runtime."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from sightstream.consumers.private_files import write_private
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.connections.s3 import S3Settings
from sightstream.schemas.wire.topics import TopicSettings


def write_config(
    file: Path, kafka: KafkaSettings, s3: S3Settings, topics: TopicSettings, data: Path | None = None
) -> None:
    """Write the settings file. Only its owner can read it, since it holds the object store's secret.

    With `data`, a folder, results and the lookup's table are kept there, wherever a command is run.
    """
    secret = s3.secret_access_key.get_secret_value() if s3.secret_access_key else None
    sections = {
        "kafka": {"bootstrap_servers": kafka.bootstrap_servers, "security_protocol": kafka.security_protocol},
        "s3": s3.model_dump(exclude_none=True, exclude={"secret_access_key"}) | {"secret_access_key": secret},
        "topics": topics.model_dump(),
    }
    if data is not None:
        sections |= {"store": {"path": str(data / "results.db")}, "lookup": {"data_dir": str(data / "lookup")}}
    write_private(file, "\n".join(_section(name, values) for name, values in sections.items()))


def read_config(file: Path) -> dict[str, dict[str, Any]]:
    """Return the file's sections, including the secret."""
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _section(name: str, values: dict[str, object]) -> str:
    # A JSON string, number or boolean is also one in TOML.
    return f"[{name}]\n" + "".join(
        f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items()
    )
