"""What one reading reads, and how near the estimates come."""

from __future__ import annotations

from itertools import accumulate, chain
from random import Random

import pytest

from sightstream.consumers.kafka.types import PartitionId
from sightstream.consumers.lag.counter import MAX_PARTITIONS, Count, Key, RecordCounter
from sightstream.consumers.lag.settings import LagSettings
from sightstream.consumers.lag.unfinished import FinishedOffsets, Unfinished
from tests.consumers.kafka.fakes import FakeConsumer, FakeLog


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now


def key(partition: int, group: str = "g") -> Key:
    return group, PartitionId("t", partition)


def plain(records: int) -> FakeLog:
    return FakeLog({offset: offset for offset in range(records)}, records)


def transactions(random: Random, records: int, largest: int, aborted: float) -> FakeLog:
    """Transactions of some records and a marker; an aborted one is as long and delivers nothing."""
    sizes = [random.randint(1, largest) for _ in range(2 * records // largest)]
    starts = [0, *accumulate(size + 1 for size in sizes)]
    committed = (
        range(start, start + size) for start, size in zip(starts, sizes, strict=False) if random.random() >= aborted
    )
    return FakeLog({offset: offset for offset in chain(*committed)}, starts[-1])


def everything(logs: dict[PartitionId, FakeLog], group: str = "g") -> dict[Key, Unfinished]:
    return {(group, at): Unfinished(log.start, log.end) for at, log in logs.items()}


def test_half_of_the_budget_is_for_the_shortest_partitions() -> None:
    logs = {PartitionId("t", n): plain(records) for n, records in enumerate((500, 30, 20))}
    counts = RecordCounter(FakeConsumer(logs), LagSettings(read_records=100), Clock()).count(everything(logs))
    assert counts == {key(0): Count(500, 0, estimated=True), key(1): Count(30, 0), key(2): Count(20, 0)}


def test_what_did_not_change_is_not_read_again() -> None:
    logs = {PartitionId("t", n): plain(50) for n in range(3)}
    consumer = FakeConsumer(logs)
    counter = RecordCounter(consumer, LagSettings(), Clock())
    first = counter.count(everything(logs))
    polls = consumer.polls
    assert counter.count(everything(logs)) == first
    assert consumer.polls == polls


def test_an_oldest_record_is_read_once_while_it_is_unfinished() -> None:
    logs = {PartitionId("t", 0): plain(50)}
    consumer = FakeConsumer(logs)
    counter = RecordCounter(consumer, LagSettings(read_records=0), Clock())
    assert counter.count({key(0): Unfinished(5, 40)})[key(0)] == Count(35, 5, estimated=True)
    assert counter.count({key(0): Unfinished(5, 50)})[key(0)] == Count(45, 5, estimated=True)
    assert consumer.polls == 1
    assert counter.count({key(0): Unfinished(5, 50, FinishedOffsets(((5, 7),)))})[key(0)] == Count(
        43, 7, estimated=True
    )


def test_a_group_that_goes_back_has_no_age_of_before() -> None:
    logs = {PartitionId("t", 0): plain(50)}
    counter = RecordCounter(FakeConsumer(logs), LagSettings(read_records=0), Clock())
    counter.count({key(0): Unfinished(30, 50)})
    counter._consumer = FakeConsumer(logs, silent=True)
    counter._settings = LagSettings(read_records=0, read_timeout_s=0.001)
    assert counter.count({key(0): Unfinished(40, 50)})[key(0)] == Count(10, 30, estimated=True)  # a bound
    assert counter.count({key(0): Unfinished(20, 50)})[key(0)] == Count(30, None, estimated=True)


def test_two_groups_read_one_partition() -> None:
    logs = {PartitionId("t", 0): plain(50)}
    left = {key(0, "g"): Unfinished(10, 50), key(0, "h"): Unfinished(20, 50)}
    assert RecordCounter(FakeConsumer(logs), LagSettings(), Clock()).count(left) == {
        key(0, "g"): Count(40, 10),
        key(0, "h"): Count(30, 20),
    }


def test_bytes_end_a_reading_too() -> None:
    logs = {PartitionId("t", n): plain(300) for n in range(2)}
    consumer = FakeConsumer(logs, value=bytes(1024))
    counts = RecordCounter(consumer, LagSettings(read_bytes=64 * 1024), Clock()).count(everything(logs))
    assert consumer.polls == 65
    assert counts == {key(0): Count(300, 0, estimated=True), key(1): Count(300, None, estimated=True)}


def test_very_many_partitions_are_looked_into_in_turn() -> None:
    logs = {PartitionId("t", n): plain(1) for n in range(2 * MAX_PARTITIONS + 1)}
    counter = RecordCounter(FakeConsumer(logs), LagSettings(), Clock())
    known = [sum(not count.estimated for count in counter.count(everything(logs)).values()) for _ in range(3)]
    assert known == [MAX_PARTITIONS, 2 * MAX_PARTITIONS, 2 * MAX_PARTITIONS + 1]


@pytest.mark.parametrize(
    ("largest", "aborted", "readings", "tolerance"),
    [(1, 0, 1, 0.01), (10, 0, 1, 0.01), (50, 0, 1, 0.01), (50, 0.1, 4, 0.02)],
)
def test_an_estimate_is_near_the_records(largest: int, aborted: float, readings: int, tolerance: float) -> None:
    random = Random(7)
    logs = {PartitionId("t", n): transactions(random, 20_000, largest, aborted) for n in range(4)}
    counter = RecordCounter(FakeConsumer(logs), LagSettings(), Clock())
    for _ in range(readings):
        counts = counter.count(everything(logs))
    assert all(count.estimated for count in counts.values())
    records = sum(len(log.records) for log in logs.values())
    assert sum(count.records for count in counts.values()) == pytest.approx(records, rel=tolerance)


def test_an_estimate_follows_a_density_that_changes_within_the_queue() -> None:
    many, few = transactions(Random(1), 20_000, 50, 0), transactions(Random(2), 20_000, 1, 0)
    joined = FakeLog(many.records | {many.end + offset: ms for offset, ms in few.records.items()}, many.end + few.end)
    logs = {PartitionId("t", 0): joined}
    (count,) = RecordCounter(FakeConsumer(logs), LagSettings(), Clock()).count(everything(logs)).values()
    assert count.records == pytest.approx(len(joined.records), rel=0.02)
