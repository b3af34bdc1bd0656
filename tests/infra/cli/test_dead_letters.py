"""`sightstream dead-letters` on a real broker: what it shows, what it does, and its exit codes."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sightstream.consumers.redrive.kafka_topics import KafkaTopics
from sightstream.consumers.redrive.protocol import OutgoingRecord
from sightstream.infra.cli.app import app
from sightstream.infra.errors import CommandError
from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.dead_letter import Reason, RecordId
from sightstream.schemas.wire.redrive import History, LetterId
from sightstream.schemas.wire.topics import TopicSettings
from tests.consumers.redrive.backends import RealCluster
from tests.consumers.redrive.samples import NOON, failure_headers, request_value

pytestmark = pytest.mark.real

SOURCE = RecordId("image.requests", 0, 0)


@pytest.fixture
def cluster(runtime: LocalRuntime, topics: TopicSettings, monkeypatch: pytest.MonkeyPatch) -> RealCluster:
    monkeypatch.setenv("SIGHTSTREAM_KAFKA_BOOTSTRAP_SERVERS", runtime.kafka_settings.bootstrap_servers)
    for name in ("requests", "results", "dead_letters", "redrives"):
        monkeypatch.setenv(f"SIGHTSTREAM_TOPICS_{name.upper()}", getattr(topics, name))
    return RealCluster(runtime.kafka_settings, topics)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["dead-letters", *arguments])


def documents(*arguments: str) -> list[Any]:
    return [json.loads(line) for line in call(*arguments, "--json").stdout.splitlines()]


def test_from_the_first_look_to_the_last(cluster: RealCluster) -> None:
    assert (call("list").exit_code, call("list").stderr) == (1, "no dead letter matches\n")
    cluster.put_letter(0, b"p-1", request_value(1), failure_headers(Reason.IMAGE_NOT_FOUND, 1))
    cluster.put_letter(1, b"p-2", request_value(2, "p-2"), failure_headers(Reason.RETRIES_EXHAUSTED, 2))
    history = History(3, LetterId("dead", "id", 0, 0), SOURCE, "image_not_found", NOON)
    cluster.put_letter(1, b"p-2", b"\x1b[31m", failure_headers("later_reason", 3) + history.headers())

    table = call("list")
    assert (table.exit_code, "image_not_found" in table.stdout, "1/0" in table.stdout) == (0, True, True)
    assert "\x1b[31m" not in table.stdout
    (one,) = documents("list", "--product", "p-1")
    assert (one["state"], one["reason"], one["request_id"], one["redrives"]) == ("open", "image_not_found", "r-1", 0)
    (third,) = documents("list", "--reason", "later_reason")
    assert third["first"]["reason"] == "image_not_found"
    assert len(documents("list", "--source", f"{SOURCE.topic}/0/2-")) == 2
    assert call("list", "--since", "2026-06-01").exit_code == 1

    counted = documents("count")[0]
    assert counted["total"] == 3
    assert counted["by_reason"] == {"image_not_found": 1, "retries_exhausted": 1, "later_reason": 1}
    assert counted["read"]["letters"] == 3

    dry = call("redrive")
    assert (dry.exit_code, "2 would be redriven" in dry.stdout) == (0, True)
    assert "would be parked" in dry.stdout
    assert "This was a dry run" in dry.stdout
    assert (cluster.requests, cluster.markers) == ([], [])

    done = documents("redrive", "--yes", "--rate", "1000")[0]
    assert not done["dry_run"]
    assert {name: found["total"] for name, found in done["decisions"].items() if found["total"]} == {
        "redriven": 2,
        "parked_now": 1,
    }
    assert len(cluster.requests) == 2
    assert call("list").exit_code == 1
    assert [found["reason"] for found in documents("list", "--parked")] == ["later_reason"]
    assert len(documents("list", "--redriven")) == 2
    assert len(documents("list", "--any-state", "--limit", "0")) == 3
    assert documents("count", "--any-state", "--by", "state")[0]["by_state"] == {"redriven": 2, "parked": 1}

    shown = call("show", "1/2")
    assert ("parked" in shown.stdout, "\\x1b[31m" in shown.stdout, "by run" in shown.stdout) == (True, True, True)
    (whole,) = documents("show", "0/0")
    assert (whole["state"], whole["marker"]["redrives"]) == ("redriven", 1)

    assert documents("redrive", "--yes", "--include-parked")[0]["decisions"]["redriven"]["total"] == 1
    assert len(cluster.requests) == 3
    assert len(documents("list", "--redriven")) == 3


def test_sigterm_ends_a_redrive_after_its_batch(cluster: RealCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        cluster.put_letter(0, b"p-1", request_value(number), failure_headers())
    commit = KafkaTopics.commit

    def commit_and_ask_to_stop(topics: KafkaTopics, records: Sequence[OutgoingRecord]) -> None:
        commit(topics, records)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(KafkaTopics, "commit", commit_and_ask_to_stop)
    before = signal.getsignal(signal.SIGTERM)
    stopped = call("redrive", "--yes", "--rate", "1")
    assert (stopped.exit_code, len(cluster.requests)) == (130, 1)
    assert signal.getsignal(signal.SIGTERM) is before
    assert call("redrive", "--yes", "--limit", "1").exit_code == 0
    assert len(cluster.requests) == 2


def test_a_missing_letter_and_a_letter_that_is_gone(cluster: RealCluster) -> None:
    assert isinstance(call("show", "0/5").exception, CommandError)
    headers = [*failure_headers(Reason.REQUEST_TOO_LARGE, 77), ("sightstream-omitted-bytes", b"9")]
    cluster.put_letter(0, None, None, headers)
    assert call("redrive").exit_code == 0
    failed = call("redrive", "--yes")
    assert (failed.exit_code, "its topic no longer has it" in failed.stdout) == (1, True)


def test_a_topic_that_is_missing_is_named(cluster: RealCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.put_letter(0, b"p-1", request_value(1), failure_headers())
    monkeypatch.setenv("SIGHTSTREAM_TOPICS_REDRIVES", f"{cluster.names.redrives}.missing")
    assert len(documents("list")) == 1
    failed = call("redrive", "--yes")
    assert isinstance(failed.exception, CommandError)
    assert "do not exist; create" in str(failed.exception)
