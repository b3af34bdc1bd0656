"""The settings: wrong ones, those that contradict each other, and secrets that others can read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sightstream.consumers.lag.settings import LagSettings
from sightstream.infra.doctor.types import Fact, Finding, Items
from sightstream.infra.shown_settings import Setting
from sightstream.schemas.connections.kafka import KafkaSettings

_HERE = ("127.", "localhost", "[::1]")


def check_sections(file: Path | None, sections: Mapping[str, Mapping[str, Setting]]) -> Items:
    """Show what differs from the defaults, and look at who can read the file."""
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


def check_kafka_settings(kafka: KafkaSettings) -> Items:
    """Look at what the broker would only refuse."""
    if kafka.security_protocol.startswith("SASL") and not (kafka.sasl_username and kafka.sasl_password):
        yield Finding(
            "kafka-credentials-missing",
            f"[kafka] security_protocol is {kafka.security_protocol}, but sasl_username or sasl_password is not set; "
            f"set both",
        )
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


def check_groups(lag: LagSettings, group_ids: Mapping[str, str]) -> Items:
    """Compare the groups that lag is counted for with the real ones, by section."""
    for section, group_id in group_ids.items():
        watched = getattr(lag, f"{section}_group_id")
        if watched != group_id:
            yield Finding(
                "group-names-differ",
                f"[lag] {section}_group_id is {watched}, but [{section}] group_id is {group_id}: the lag of another "
                f"group is counted; set both to the same",
            )
