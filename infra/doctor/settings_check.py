"""The settings: wrong ones, those that contradict each other, and secrets that others can read."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import confluent_kafka

from sightstream.infra.doctor.types import Fact, Finding, Items
from sightstream.infra.shown_settings import Setting
from sightstream.schemas.connections.kafka import KafkaSettings

_PACKAGES = ("sightstream", "confluent-kafka", "torch", "transformers")
_HERE = ("127.", "localhost", "[::1]")


def check_sections(file: Path | None, sections: Mapping[str, Mapping[str, Setting]]) -> Items:
    """Show what differs from the defaults, and look at who can read the file."""
    yield Fact("versions", ", ".join(_versions()))
    yield Fact("file", str(file) if file else "none")
    for section, settings in sections.items():
        for name, setting in settings.items():
            if setting.origin != "default":
                yield Fact(f"[{section}] {name}", f"{setting.value} (from the {setting.origin})")
    secrets = [
        f"[{section}] {name}"
        for section, settings in sections.items()
        for name, setting in settings.items()
        if setting.secret and setting.origin == "file"
    ]
    if file and secrets and file.stat().st_mode & 0o077:
        yield Finding(
            "settings-file-readable",
            f"other users can read {file}, which holds {', '.join(secrets)}: chmod go= it, or set secrets in the "
            f"environment",
        )


def _versions() -> Iterator[str]:
    yield f"Python {platform.python_version()}"
    yield f"librdkafka {confluent_kafka.libversion()[0]}"
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):  # an extra that is not installed, or a checkout
            yield f"{package} {version(package)}"


def check_kafka_settings(kafka: KafkaSettings) -> Items:
    """Look at what the broker would only refuse."""
    servers = [server.strip() for server in kafka.bootstrap_servers.split(",")]
    if kafka.security_protocol == "SASL_PLAINTEXT" and not all(server.startswith(_HERE) for server in servers):
        yield Finding(
            "kafka-password-in-clear",
            "[kafka] security_protocol SASL_PLAINTEXT sends the password unencrypted to another machine; use SASL_SSL",
        )
    for name in ("ssl_ca_location", "ssl_certificate_location", "ssl_key_location"):
        path = getattr(kafka, name)
        if path is not None and not Path(path).exists():
            yield Finding("kafka-file-missing", f"[kafka] {name} names {path}, which does not exist; correct it")


def check_groups(group_ids: Mapping[str, str]) -> Items:
    """Compare the groups of the sections: two kinds of readers in one group would share out the partitions."""
    for group_id in sorted(set(group_ids.values())):
        sections = [section for section, other in group_ids.items() if other == group_id]
        if len(sections) > 1:
            yield Finding(
                "group-shared",
                f"[{'] and ['.join(sections)}] have the same group_id, {group_id}, so each gets a part of the "
                f"partitions only; give each its own",
            )
