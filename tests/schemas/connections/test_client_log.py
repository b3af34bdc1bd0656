"""librdkafka's lines go through our log: formatted, escaped, and not ten times a second."""

from __future__ import annotations

import ast
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from sightstream.infra.logs import log_to_stderr
from sightstream.schemas.connections import client_log
from sightstream.schemas.connections.client_log import REPEAT_AFTER_S, RepeatFilter, client_logger
from sightstream.schemas.connections.kafka import KafkaSettings

ROOT = Path(__file__).parents[3]
CLIENTS = {"Consumer", "KafkaConsumer", "Producer", "AdminClient"}
SOURCES = [
    path
    for folder in ("schemas", "producers", "pipeline", "consumers", "infra")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "baselines" not in path.parts  # other systems, run as their own documentation shows them
]


def silent_calls(path: Path) -> Iterator[str]:
    """Yield each construction of a client that neither has a logger nor is told to log nothing."""
    source = path.read_text(encoding="utf-8")
    if "confluent_kafka" not in source:
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CLIENTS:
            quiet = '"log_level": 0' in source
            if not quiet and not any(keyword.arg == "logger" for keyword in node.keywords):
                yield f"{path.relative_to(ROOT)}:{node.lineno}"


def test_every_client_has_a_logger() -> None:
    assert [call for path in SOURCES for call in silent_calls(path)] == []


def test_a_repeated_line_passes_again_after_a_while() -> None:
    now = 0.0
    repeats = RepeatFilter(lambda: now)

    def passes(text: str) -> bool:
        return repeats.filter(logging.LogRecord("x", logging.ERROR, "", 0, text, None, None))

    assert passes("FAIL [rdkafka#producer-1] wrong password (after 0ms in state AUTH)")
    assert not passes("FAIL [rdkafka#producer-2] wrong password (after 17ms in state AUTH)")
    assert passes("another line")
    now = REPEAT_AFTER_S
    assert passes("FAIL [rdkafka#producer-3] wrong password (after 3ms in state AUTH)")


def test_the_lines_that_are_remembered_are_bounded() -> None:
    repeats = RepeatFilter(lambda: 0.0)
    for number in range(10_000):
        repeats.filter(logging.LogRecord("x", logging.ERROR, "", 0, f"line {chr(200 + number)}", None, None))
    assert len(repeats._passed) <= 256


def test_a_logger_is_filtered_once() -> None:
    assert client_logger("a.module") is client_logger("a.module")
    assert len(client_logger("a.module").filters) == 1


@pytest.mark.parametrize("kind", [Consumer, Producer, AdminClient])
def test_a_line_of_librdkafka_is_formatted_and_holds_no_secret(
    kind: type[Consumer | Producer | AdminClient], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_log, "_SHARED", RepeatFilter())
    before = logging.getLogger().handlers[:]
    log_to_stderr()
    kafka = KafkaSettings.model_validate(
        {
            "bootstrap_servers": "127.0.0.1:1",
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_username": "canary-user",
            "sasl_password": "canary-secret",
        }
    )
    client = kind(kafka.client_config() | {"group.id": "g"}, logger=client_logger(f"test.{kind.__name__}"))
    try:
        with pytest.raises(Exception, match="Failed"):
            client.list_topics("t", timeout=1)
        client.poll(0)
    finally:
        logging.getLogger().handlers = before
    lines = capfd.readouterr().err.splitlines()
    assert any(f"test.{kind.__name__}.librdkafka" in line and "refused" in line for line in lines)
    assert not [line for line in lines if line.startswith("%") or "canary-secret" in line]
