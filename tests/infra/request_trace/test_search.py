"""What `sightstream trace` finds of a request, and what it says that it read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sightstream.consumers.kafka.types import MissingTopic, PartitionId
from sightstream.consumers.store.database import Database
from sightstream.consumers.store.row import Record
from sightstream.consumers.store.rows import result_row
from sightstream.infra.request_trace.report import document, lines
from sightstream.infra.request_trace.search import Search
from sightstream.infra.request_trace.topics import TopicRecord, partition_of_key
from sightstream.infra.request_trace.types import Reading, Trace
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.dead_letter import Failure, Headers, Reason, RecordId, Stage
from sightstream.schemas.wire.redrive import History, LetterId, RedriveMarker
from sightstream.schemas.wire.topics import TopicSettings
from sightstream.schemas.wire.trace_context import TraceContext
from tests.consumers.outcomes import NOON, dead_record, request, result_record

TOPICS = TopicSettings()
Content = tuple[bytes | None, bytes | None, Headers]


class FakeTopics:
    """Topics of one partition, whose records are a second apart; `removed` offsets of each are gone."""

    def __init__(self, **records: list[Content]) -> None:
        names = {"requests": TOPICS.requests, "results": TOPICS.results, "dead": TOPICS.dead_letters}
        self.records = {names.get(name, TOPICS.redrives): content for name, content in records.items()}
        self.removed: dict[str, int] = {}
        self.keys: list[bytes | None] = []

    def readings(self, topic: str, key: bytes | None, since: datetime | None) -> list[Reading]:
        if topic not in self.records:
            raise MissingTopic(topic)
        self.keys.append(key)
        earliest = self.removed.get(topic, 0)
        return [Reading(PartitionId(topic, 0), earliest, earliest, earliest + len(self.records[topic]))]

    def read(self, readings: Sequence[Reading]) -> Iterator[TopicRecord]:
        for reading in readings:
            for offset, (key, value, headers) in enumerate(self.records[reading.partition.topic], reading.start):
                time = NOON + timedelta(seconds=offset)
                reading.records, reading.oldest = reading.records + 1, reading.oldest or time
                yield TopicRecord(RecordId(reading.partition.topic, 0, offset), time, key, value, headers)


def requested(request_id: str = "r-1", product: str = "p-1", headers: Headers | None = None) -> Content:
    return product.encode(), encode(request(request_id, product)), headers or []


def at(offset: int) -> RecordId:
    return RecordId(TOPICS.requests, 0, offset)


def search(topics: FakeTopics, folder: Path, product: str | None = "p-1") -> Trace:
    return Search(topics, TOPICS, "r-1", product).run(folder / "results.db")


def kinds(trace: Trace) -> list[str]:
    return [event.kind for event in trace.events]


def test_an_answered_request_is_followed_from_its_record_to_its_row(tmp_path: Path) -> None:
    key, value, headers = result_record("r-1", "p-1", at(1))
    topics = FakeTopics(requests=[requested("r-0"), requested()], results=[(key, value, headers)] * 2, dead=[])
    with Database(tmp_path / "results.db") as database:
        database.write([result_row(Record(TOPICS.results, 0, 0, 1_767_355_200_500, key, value, headers))], {})
    found = search(topics, tmp_path)
    assert (found.state, kinds(found)) == ("answered", ["result", "row", "request", "result"])
    result = found.events[0]
    assert result.where == "image.results/0/0"
    assert result.details["source"] == "image.requests/0/1"
    assert result.details["seconds"] == {"fetch": 0.1, "decode": 0.2, "infer": 0.3, "total": 0.6}
    assert topics.keys == [b"p-1"] * 3


def test_a_request_without_an_outcome_waits(tmp_path: Path) -> None:
    found = search(FakeTopics(requests=[requested()], results=[], dead=[]), tmp_path)
    assert (found.state, kinds(found)) == ("waiting", ["request"])
    assert any("no results database" in note for note in found.notes)


def test_a_redriven_request_shows_its_whole_history(tmp_path: Path) -> None:
    letter = LetterId(TOPICS.dead_letters, "id", 0, 0)
    failure = Failure(Reason.NOT_AN_IMAGE, Stage.DECODE, "text", 1, NOON, at(0))
    history = History.next_of(letter, failure, None).headers()
    marker = encode(RedriveMarker(state="redriven", redrives=1, run="run-1", at=NOON))
    other = LetterId(TOPICS.dead_letters, "id", 0, 9)
    topics = FakeTopics(
        requests=[requested(headers=[TraceContext(0xA, 0xB, True).header()]), requested(headers=history)],
        results=[result_record("r-1", "p-1", at(1))],
        dead=[dead_record("r-1", "p-1", at(0))],
        redrives=[(str(letter).encode(), marker, []), (str(other).encode(), marker, []), (b"?", b"?", [])],
    )
    found = search(topics, tmp_path)
    assert found.state == "answered"
    assert sorted(kinds(found)) == ["dead_letter", "redrive", "request", "request", "result"]
    first, second = (event for event in found.events if event.kind == "request")
    assert first.details["trace_id"] == f"{0xA:032x}"
    assert (second.details["redrives"], second.details["first_reason"]) == (1, "not_an_image")


def test_a_dead_letter_whose_bytes_were_not_kept_is_found_by_its_source(tmp_path: Path) -> None:
    _, _, headers = dead_record("r-1", "p-1", at(0))
    found = search(FakeTopics(requests=[requested()], results=[], dead=[(None, None, headers)]), tmp_path)
    assert (found.state, kinds(found)) == ("dead", ["request", "dead_letter"])


@pytest.mark.parametrize("product", ["p-1", None])
def test_another_request_is_not_this_one(tmp_path: Path, product: str | None) -> None:
    mention = b'{"note": "r-1"}'
    topics = FakeTopics(
        requests=[requested("r-10"), requested("r-1", "p-2") if product else (b"p-1", mention, [])],
        results=[result_record("r-10", "p-1", at(0))],
        dead=[dead_record("r-10", "p-1", at(0)), (b"p-1", b"\xff", [])],
    )
    assert search(topics, tmp_path, product).state == "unknown"


def test_what_retention_took_is_said(tmp_path: Path) -> None:
    topics = FakeTopics(requests=[], results=[result_record("r-1", "p-1", at(3))])
    topics.removed = {TOPICS.requests: 12, TOPICS.results: 5}
    found = search(topics, tmp_path)
    assert (found.state, kinds(found)) == ("answered", ["result"])
    text = "\n".join(lines(found))
    assert "retention has removed offsets 0 to 11 of image.requests/0" in text
    assert "retention has removed offsets 0 to 4 of image.results/0; the oldest record left is of 2026-01-02T12" in text
    assert "read image.results: 1 records (partition: offsets; 0: 5 to 6)" in text
    assert "the topic image.dead-letters does not exist" in text


def test_the_document_is_json_and_the_text_can_not_control_a_terminal(tmp_path: Path) -> None:
    failure = Failure(Reason.MALFORMED, Stage.TAKE, "bad", 1, NOON, at(0))
    headers: Headers = [(name, b"\x1b[2J" if name.endswith("detail") else value) for name, value in failure.headers()]
    found = search(FakeTopics(requests=[requested()], results=[], dead=[(None, None, headers)]), tmp_path)
    read = json.loads(json.dumps(document(found)))
    assert read["state"] == "dead"
    assert read["read"][0] == {
        "topic": "image.requests",
        "partition": 0,
        "start": 0,
        "end": 1,
        "records": 1,
        "oldest": NOON.isoformat(),
        "removed_by_retention": 0,
    }
    assert "\x1b" not in "\n".join(lines(found))


def test_a_key_is_in_the_partition_where_producers_put_it() -> None:
    for key, hashed in ((b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536)):
        assert partition_of_key(key, 1000) == (hashed & 0x7FFFFFFF) % 1000  # as Kafka's own tests have them
