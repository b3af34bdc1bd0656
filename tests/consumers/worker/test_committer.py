"""What the committer does about records that their topic refuses."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition
from prometheus_client import REGISTRY

from sightstream.consumers.worker.assignment import Assignment, PartitionState
from sightstream.consumers.worker.committer import (
    MAX_RECORDS_ONE_BY_ONE,
    PAUSE_AFTER_FAILURE_S,
    Committer,
    show_counters,
)
from sightstream.consumers.worker.delivery import Delivery
from sightstream.consumers.worker.ledger import Ledger
from sightstream.consumers.worker.records import OutgoingRecord, dead_letter_record
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.consumers.worker.transactions import InDoubt, RecordsRefused, Transactions
from sightstream.pipeline.errors import Fatal, Rejected
from sightstream.schemas.wire.dead_letter import Reason, RecordId, Stage
from sightstream.schemas.wire.topics import TopicSettings

TOPICS = TopicSettings()


def test_a_worker_shows_0_before_it_counts() -> None:
    """Prometheus sees a rise only from a value that it has seen."""
    show_counters()
    for reason in Reason:
        assert REGISTRY.get_sample_value("sightstream_worker_dead_letters_total", {"reason": reason}) is not None
    for outcome in ("committed", "aborted", "unsure", "not_a_member"):
        assert REGISTRY.get_sample_value("sightstream_worker_commits_total", {"outcome": outcome}) is not None


class FakeAssignment:
    """Partition 3."""

    def __init__(self) -> None:
        self.state = PartitionState(3, Ledger[OutgoingRecord](0))

    def __iter__(self) -> object:
        return iter([self.state])

    def reload_committed(self) -> None:
        pass


class FakeTransactions:
    """Refuses batches with a record larger than `limit`; sent one by one, only that record is named."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.committed: list[OutgoingRecord] = []

    def renew(self) -> None:
        pass

    def poll(self) -> None:
        pass

    def commit(
        self, records: list[OutgoingRecord], offsets: list[TopicPartition], consumer: Consumer, one_by_one: bool
    ) -> None:
        too_large = [record for record in records if len(record.value or b"") > self.limit]
        if too_large:
            raise RecordsRefused(too_large[:1] if one_by_one else records, KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        self.committed += records


class CommitterHarness:
    def __init__(self, limit: int) -> None:
        self.now = 100.0
        self.assignment, self.transactions = FakeAssignment(), FakeTransactions(limit)
        self.committer = Committer(
            WorkerSettings(),
            TOPICS.requests,
            cast(Assignment, self.assignment),  # the fakes have the parts that Committer uses
            cast(Transactions, self.transactions),
            cast(Consumer, None),
            lambda: self.now,
        )

    def finish(self, offset: int, record: OutgoingRecord) -> None:
        assert self.assignment.state.start(Delivery(RecordId(TOPICS.requests, 3, offset), None, b"", []))
        self.assignment.state.ledger.finish(offset, record)

    def commit(self, times: int = 1) -> None:
        for _ in range(times):
            self.committer.commit_if_due(more_expected=True)
            self.now += 2 * PAUSE_AFTER_FAILURE_S


def dead_letter(offset: int, size: int) -> OutgoingRecord:
    delivery = Delivery(RecordId(TOPICS.requests, 3, offset), b"k", bytes(size), [("mine", b"1")])
    return dead_letter_record(delivery, Rejected(Reason.MALFORMED, Stage.TAKE, "bad"), TOPICS, datetime.now(UTC))


def result(size: int) -> OutgoingRecord:
    return OutgoingRecord(TOPICS.results, b"k", bytes(size), [])


def test_only_the_dead_letter_that_is_refused_loses_its_bytes() -> None:
    harness = CommitterHarness(limit=100)
    sizes = [10, 5000, 20, 6000] + [30] * 40
    for offset, size in enumerate(sizes):
        harness.finish(offset, dead_letter(offset, size))
    harness.commit(10)
    found = harness.transactions.committed
    assert [len(record.value or b"") for record in found] == [0 if size > 100 else size for size in sizes]
    names = [name for name, _ in found[1].headers]
    assert (found[1].key, found[1].partition, "mine" in names) == (None, 3, False)
    assert "sightstream-omitted-sha256" in names
    assert not len(harness.assignment.state.ledger)


def test_after_a_refusal_few_records_are_sent_one_by_one() -> None:
    harness = CommitterHarness(limit=100)
    for offset in range(60):
        harness.finish(offset, dead_letter(offset, 30 if offset else 5000))
    harness.commit(3)
    assert len(harness.transactions.committed) == MAX_RECORDS_ONE_BY_ONE
    harness.commit()
    assert len(harness.transactions.committed) == 60


def test_a_result_that_its_topic_refuses_stops_the_worker_and_stays_a_result() -> None:
    harness = CommitterHarness(limit=100)
    harness.finish(0, result(5))
    harness.finish(1, result(5000))
    with pytest.raises(Fatal, match=r"image.results refuses .*set its max.message.bytes to 2097152"):
        harness.commit(3)
    assert harness.transactions.committed == []
    assert len(harness.assignment.state.ledger) == 2


def test_a_dead_letter_that_is_refused_in_its_omitted_form_stops_the_worker() -> None:
    harness = CommitterHarness(limit=-1)
    harness.finish(0, dead_letter(0, 5))
    with pytest.raises(Fatal, match="start again"):
        harness.commit(3)
    assert harness.transactions.committed == []


def test_an_outcome_with_nothing_else_in_progress_does_not_wait_for_the_interval() -> None:
    harness = CommitterHarness(limit=100)
    for offset, more_expected in enumerate([True, True, False]):
        harness.finish(offset, result(5))
        harness.committer.commit_if_due(more_expected)
        harness.now += 0.01
    assert len(harness.transactions.committed) == 3
    assert not len(harness.assignment.state.ledger)


def test_while_more_is_expected_outcomes_wait_for_the_interval() -> None:
    harness = CommitterHarness(limit=100)
    for offset in range(3):
        harness.finish(offset, result(5))
        harness.committer.commit_if_due(more_expected=True)
        harness.now += 0.01
    assert len(harness.transactions.committed) == 1
    harness.now += WorkerSettings().commit_interval_s
    harness.committer.commit_if_due(more_expected=True)
    assert len(harness.transactions.committed) == 3


def test_doubt_is_shown_until_the_committed_offsets_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(*_: object) -> None:
        raise InDoubt("no answer")

    harness = CommitterHarness(limit=100)
    harness.finish(0, result(10))
    with monkeypatch.context() as patch:
        patch.setattr(harness.transactions, "commit", lose)
        harness.commit()
        assert REGISTRY.get_sample_value("sightstream_worker_in_doubt") == 1
    harness.commit()
    assert REGISTRY.get_sample_value("sightstream_worker_in_doubt") == 0
