"""The child process against a real broker: what it reports of bombs, rotten bytes and aborted transactions."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest
from confluent_kafka import Producer

from sightstream.consumers.worker.unreadable.batch_reader import ChildReader
from sightstream.consumers.worker.unreadable.reports import (
    BatchDone,
    BatchFound,
    ReadFailed,
    RecordOmitted,
    RecordRead,
    Report,
)
from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.topics import TopicSettings
from tests.faults.harness import wait_for
from tests.raw_batches import LZ4, NONE, ZSTD, RawRecord, build_batch, flip_a_bit, produce_batch

pytestmark = pytest.mark.real

BOMB = RawRecord(bytes(40 * 10**6))


class Log:
    """Partition 0 of a request topic."""

    def __init__(self, runtime: LocalRuntime, topics: TopicSettings) -> None:
        self.kafka, self.topic, self.folder = runtime.kafka_settings, topics.requests, runtime.folder.path

    def append(self, *records: RawRecord, compression: int = NONE) -> int:
        return produce_batch(self.kafka, self.topic, 0, build_batch(records, compression))

    def append_transaction(self, value: bytes, commit: bool) -> None:
        producer = Producer(self.kafka.producer_config() | {"transactional.id": uuid4().hex})
        producer.init_transactions(30)
        producer.begin_transaction()
        producer.produce(self.topic, value, partition=0)
        producer.flush(30)
        (producer.commit_transaction if commit else producer.abort_transaction)(30)

    def read(self, offset: int, memory_bytes: int = 2**30) -> list[Report]:
        reader = ChildReader(self.kafka, self.topic, 0, offset, memory_bytes)
        reports: list[Report] = []

        def is_over() -> bool:
            while (report := reader.poll()) is not None:
                reports.append(report)
            return bool(reports) and isinstance(reports[-1], BatchDone | ReadFailed)

        try:
            wait_for(is_over, "the last report")
        finally:
            reader.close()
        return reports


@pytest.fixture
def log(runtime: LocalRuntime, make_topics: Callable[..., TopicSettings]) -> Log:
    return Log(runtime, make_topics(partitions=1))


def test_every_record_is_reported_and_one_too_large_by_its_digest(log: Log) -> None:
    log.append(RawRecord(b"before"))
    odd = RawRecord(b"odd", None, [(b"bad\xff", b"1"), (b"h", None)])
    log.append(RawRecord(b"a"), BOMB, odd, compression=ZSTD)
    log.append(RawRecord(b"behind"))
    found, first, bomb, last, done = log.read(1)
    assert found == BatchFound(base=1, end=4, count=3)
    assert isinstance(first, RecordRead)
    assert (first.offset, first.value, first.headers()) == (1, b"a", [])
    assert isinstance(bomb, RecordOmitted)
    assert (bomb.offset, bomb.size_bytes, bomb.key) == (2, 40 * 10**6 + 1, b"k")
    assert isinstance(last, RecordRead)
    assert (last.key, last.names, last.values, last.headers()) == (None, (b"bad\xff", b"h"), (b"1", None), None)
    assert done == BatchDone(end=4)
    assert [report.kind for report in log.read(3)] == ["found", "record", "done"], "not what was delivered before"


def test_aborted_records_stay_invisible_and_committed_ones_do_not(log: Log) -> None:
    log.append_transaction(b"aborted", commit=False)
    log.append_transaction(b"committed", commit=True)
    found, record, done = log.read(0)
    assert isinstance(record, RecordRead)
    assert record.value == b"committed"
    assert (found, done) == (BatchFound(base=2, end=3, count=1), BatchDone(end=3))
    assert log.read(3) == [BatchDone(end=4)], "behind the marker is the end of the log"


@pytest.mark.parametrize("compression", [ZSTD, LZ4])
def test_a_batch_that_needs_too_much_memory_is_undecodable(log: Log, compression: int) -> None:
    log.append(RawRecord(b"a"), BOMB, compression=compression)
    found, failed = log.read(0, memory_bytes=20 * 2**20)
    assert found == BatchFound(base=0, end=2, count=2)
    assert isinstance(failed, ReadFailed)
    assert failed.failure == "undecodable"


def test_rotten_bytes_are_corrupt_and_an_offset_outside_of_the_log_is_gone(log: Log) -> None:
    log.append(RawRecord(b"a" * 100), compression=NONE)
    flip_a_bit(log.folder, log.topic, 0, b"a" * 100)
    (failed,) = log.read(0)
    assert isinstance(failed, ReadFailed)
    assert failed.failure == "corrupt"
    (gone,) = log.read(99)
    assert isinstance(gone, ReadFailed)
    assert gone.failure == "gone"


def test_a_broker_that_is_away_says_nothing_about_the_batch(log: Log) -> None:
    log.kafka = log.kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:1"})
    (failed,) = log.read(0)
    assert isinstance(failed, ReadFailed)
    assert failed.failure == "unavailable"
