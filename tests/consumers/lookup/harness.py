"""Real lookups as child processes, and what they show."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sightstream.consumers.lookup.client import LookupUnavailable, ask, find_address
from sightstream.consumers.lookup.settings import LookupSettings
from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.topics import TopicSettings
from tests.consumers.publishing import read_all
from tests.consumers.waiting import wait_for


@dataclass
class Lookups:
    """Calling it with a folder starts a lookup that works in it; all share one log."""

    config_file: Path
    topics: TopicSettings
    scratch: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __call__(self, folder: Path, group_id: str | None = None) -> subprocess.Popen[bytes]:
        file = self.scratch / f"{folder.name}.toml"
        group_id = group_id or f"of.{self.topics.results}"
        section = f'\n[lookup]\ndata_dir = "{folder}"\ngroup_id = "{group_id}"\nport = 0\nsession_timeout_s = 6\n'
        file.write_text(self.config_file.read_text() + section)
        command = [sys.executable, "-m", "sightstream", "--config", str(file), "lookup", "--serve"]
        with self.log.open("ab") as log:
            self.started.append(subprocess.Popen(command, stdout=log, stderr=log))
        return self.started[-1]

    @property
    def log(self) -> Path:
        return self.scratch / "lookup.log"

    def stop(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()


def newest(runtime: LocalRuntime, topics: TopicSettings, partitions: int | None = None) -> dict[str, dict[str, Any]]:
    """By product, from the topic itself: the committed result of the highest request number."""
    seen = read_all(runtime.kafka_settings, [topics.results], partitions or topics.partitions)
    results = [json.loads(value) for _, value in sorted(seen.items()) if value and value.startswith(b"{")]
    return {result["product_id"]: result for result in sorted(results, key=_number)}


def _number(result: dict[str, Any]) -> int:
    digits = result["request_id"].removeprefix("r-")
    return int(digits) if digits.isdigit() else 0


def shown(folder: Path, products: list[str]) -> dict[str, dict[str, Any]] | None:
    """None while it is not ready."""
    with suppress(LookupUnavailable):
        address = find_address(LookupSettings(data_dir=folder, port=0))
        found = {product: ask(address, product) for product in products}
        return {product: entry.document["result"] for product, entry in found.items() if entry}
    return None


def wait_until_ready(process: subprocess.Popen[bytes], folder: Path) -> None:
    def ready() -> bool:
        assert process.poll() is None, "the lookup ended"
        return shown(folder, ["nobody"]) is not None

    wait_for(ready, 60)
