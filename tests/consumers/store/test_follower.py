"""The follower's rows and commits, and the errors that it survives, with a consumer that plays a script."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, KafkaError, Message

from sightstream.consumers.kafka.types import PartitionId
from sightstream.consumers.store.batch import MAX_BATCH_BYTES, Position
from sightstream.consumers.store.database import Database
from sightstream.consumers.store.errors import StoreError, TopicReplaced
from sightstream.consumers.store.follower import Follower, TopicRowMapping
from sightstream.consumers.store.row import Row
from sightstream.consumers.store.rows import dead_letter_row, result_row
from sightstream.consumers.store.settings import StoreSettings
from sightstream.schemas.connections.spans import Span, Spans
from sightstream.schemas.wire.dead_letter import RecordId
from sightstream.schemas.wire.trace_context import TraceContext
from tests.consumers.outcomes import dead_record, result_record
from tests.consumers.store.fakes import FakeConsumer, assign, end, problem, record, revoke

R0, R1, D0 = PartitionId("results", 0), PartitionId("results", 1), PartitionId("dead", 0)


class Clock:
    """Ten milliseconds pass at each call."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 0.01
        return self.now


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "r.db") as opened:
        yield opened


def follow(database: Database, consumer: FakeConsumer, ids: dict[str, str] | None = None, batch: int = 500) -> Follower:
    """Run until the script is played and its records are written."""
    identity = ids or {"results": "a", "dead": "b"}
    mapping = TopicRowMapping({"results": result_row, "dead": dead_letter_row}, lambda: identity)
    follower = Follower(consumer, database, mapping, StoreSettings(batch_records=batch), Clock())
    follower.run(lambda: not consumer.script)
    return follower


def answered(at: PartitionId, offset: int, epoch: int | None = None) -> Message:
    return record(at, offset, result_record(f"r-{offset}", "p", RecordId("q", at.partition, offset)), epoch)


def dead(at: PartitionId, offset: int) -> Message:
    return record(at, offset, dead_record(f"r-{offset}", "p", RecordId("q", at.partition, offset)))


def rows(database: Database, table: str) -> list[tuple[int, int]]:
    query = f'SELECT partition, "offset" FROM {table} ORDER BY 1, 2'  # noqa: S608
    return sqlite3.connect(database.path).execute(query).fetchall()


def test_records_become_rows_and_offsets(database: Database) -> None:
    consumer = FakeConsumer([assign(R0, R1, D0), answered(R0, 0), answered(R1, 4), dead(D0, 2), answered(R0, 1)])
    follower = follow(database, consumer)
    assert rows(database, "results") == [(0, 0), (0, 1), (1, 4)]
    assert rows(database, "dead_letters") == [(0, 2)]
    assert consumer.committed == {R0: 2, R1: 5, D0: 3}
    assert follower.written == {"results": 3, "dead_letters": 1, "unreadable": 0}
    assert consumer.closed


def test_the_databases_position_is_read_from_not_the_groups(database: Database) -> None:
    database.write([], {R0: Position(17)})
    consumer = FakeConsumer([assign(R0, R1)])
    follow(database, consumer)
    assert consumer.held == {R0: 17, R1: OFFSET_BEGINNING}


def test_the_end_is_past_trailing_markers(database: Database) -> None:
    consumer = FakeConsumer([assign(R0, R1), answered(R0, 0), end(R0, 2), end(R1, 6)])
    follow(database, consumer)
    assert consumer.committed == {R0: 2, R1: 6}
    assert database.position(R0) == Position(2)


def test_garbage_is_kept_and_counted(database: Database) -> None:
    consumer = FakeConsumer([assign(R0), record(R0, 0, (b"k", b"{", None)), answered(R0, 1)])
    follow(database, consumer)
    assert rows(database, "unreadable") == [(0, 0)]
    assert rows(database, "results") == [(0, 1)]


def test_records_are_written_before_a_partition_goes(database: Database) -> None:
    consumer = FakeConsumer([assign(R0, R1), answered(R0, 0), answered(R1, 0), revoke(R0)])
    follow(database, consumer)
    assert rows(database, "results") == [(0, 0), (1, 0)]
    assert consumer.committed == {R0: 1, R1: 1}
    assert list(consumer.held) == [R1]


def test_a_revoked_partitions_offset_is_not_committed_later(database: Database) -> None:
    consumer = FakeConsumer([assign(R0, R1), revoke(R0), end(R0, 9), answered(R1, 0)])
    follow(database, consumer)
    assert consumer.committed == {R1: 1}


def test_a_batch_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    write = database.write

    def counting(rows: list[Row], positions: Mapping[PartitionId, Position]) -> None:
        sizes.append(len(rows))
        write(rows, positions)

    monkeypatch.setattr(database, "write", counting)
    follow(database, FakeConsumer([assign(R0), *(answered(R0, n) for n in range(10))]), batch=4)
    assert sizes == [4, 4, 2]


def test_a_batch_is_bounded_in_bytes(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    write = database.write

    def counting(rows: list[Row], positions: Mapping[PartitionId, Position]) -> None:
        sizes.append(len(rows))
        write(rows, positions)

    monkeypatch.setattr(database, "write", counting)
    large = b"{" * (MAX_BATCH_BYTES // 3)
    follow(database, FakeConsumer([assign(R0), *(record(R0, n, (b"k", large, None)) for n in range(7))]))
    assert sizes == [3, 3, 1]


def gone(at: PartitionId) -> Message:
    return problem(at, 0, KafkaError._AUTO_OFFSET_RESET)


def test_records_removed_before_they_were_read_are_passed_over_with_an_error(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    database.write([], {R0: Position(5)})
    consumer = FakeConsumer([assign(R0), gone(R0)], watermarks={R0: (20, 30)})
    follow(database, consumer)
    assert consumer.held == {R0: 20}
    assert database.position(R0) == Position(20)
    assert "offsets 5 to 19 left the topic before they were stored" in caplog.text


def test_records_that_the_broker_lost_are_read_again(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    first = FakeConsumer([assign(R0), *(answered(R0, n) for n in range(8))])
    follow(database, first)
    consumer = FakeConsumer([assign(R0), gone(R0), answered(R0, 3)], watermarks={R0: (3, 4)})
    follow(database, consumer)
    assert consumer.held == {R0: 3}
    assert rows(database, "results") == [(0, 0), (0, 1), (0, 2), (0, 3)]
    assert "the broker lost records before offset 8, it has offsets 3 to 3 now" in caplog.text


def read_to_nine(database: Database) -> None:
    """Offsets 0 to 7 in epoch 4, and a marker."""
    follow(database, FakeConsumer([assign(R0), *(answered(R0, n, epoch=4) for n in range(8)), end(R0, 9)]))
    assert database.position(R0) == Position(9, 8, 4)


def test_the_last_record_is_read_once_more_and_not_stored_twice(database: Database) -> None:
    read_to_nine(database)
    consumer = FakeConsumer([assign(R0), answered(R0, 7, epoch=4), end(R0, 9), answered(R0, 9, epoch=5)])
    assert follow(database, consumer).written["results"] == 1
    assert consumer.starts == [7]
    assert rows(database, "results") == [(0, n) for n in (*range(8), 9)]
    assert database.position(R0) == Position(10, 10, 5)


@pytest.mark.parametrize("found", [answered(R0, 7, epoch=6), answered(R0, 8, epoch=6), end(R0, 7), end(R0, 12)])
def test_other_records_in_place_of_those_that_were_read_are_read_again(
    database: Database, caplog: pytest.LogCaptureFixture, found: Message
) -> None:
    read_to_nine(database)
    again = [answered(R0, 0, epoch=6), answered(R0, 3, epoch=6)]
    consumer = FakeConsumer([assign(R0), found, *again], watermarks={R0: (0, 30)})
    follow(database, consumer)
    assert consumer.starts == [7, 0]
    assert rows(database, "results") == [(0, 0), (0, 3)]
    assert "the broker lost records before offset 9" in caplog.text


def test_an_end_before_what_was_read_is_a_loss_too(database: Database) -> None:
    database.write([], {R0: Position(9)})
    consumer = FakeConsumer([assign(R0), end(R0, 5), answered(R0, 0)], watermarks={R0: (0, 5)})
    follow(database, consumer)
    assert consumer.starts == [9, 0]
    assert rows(database, "results") == [(0, 0)]


def test_markers_that_outlive_the_last_record_are_no_loss(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    read_to_nine(database)
    consumer = FakeConsumer([assign(R0), gone(R0), answered(R0, 9, epoch=5)], watermarks={R0: (9, 30)})
    follow(database, consumer)
    assert consumer.starts == [7, 9]
    assert rows(database, "results") == [(0, n) for n in (*range(8), 9)]
    assert "lost" not in caplog.text


def test_a_topic_created_again_while_running_stops_the_store(database: Database) -> None:
    ids = {"results": "a", "dead": "b"}
    consumer = FakeConsumer([assign(R0), lambda _: ids.update(results="new"), gone(R0)], watermarks={R0: (0, 1)})
    with pytest.raises(TopicReplaced):
        follow(database, consumer, ids)
    assert consumer.closed


@pytest.mark.parametrize("code", [KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED])
def test_an_error_for_a_person_stops_the_store_with_the_rows_kept(database: Database, code: int) -> None:
    consumer = FakeConsumer([assign(R0), answered(R0, 0), problem(R0, 0, code)])
    with pytest.raises(StoreError):
        follow(database, consumer)
    assert rows(database, "results") == [(0, 0)]


def test_a_client_that_gave_up_ends_the_store_with_the_rows_kept(database: Database) -> None:
    """A static member whose session has ended can be fenced by its own new membership; the client is of no use then."""
    consumer = FakeConsumer([assign(R0), answered(R0, 0), problem(R0, 0, KafkaError._FATAL)])
    with pytest.raises(StoreError, match="start the store again"):
        follow(database, consumer)
    assert rows(database, "results") == [(0, 0)]


def test_a_passing_error_is_logged_and_survived(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    passing = problem(R0, 0, KafkaError._TRANSPORT)
    follow(database, FakeConsumer([assign(R0), passing, answered(R0, 0)]))
    assert rows(database, "results") == [(0, 0)]
    assert "trying again" in caplog.text


def test_a_record_without_an_offset_is_an_internal_error_that_stops_the_store(database: Database) -> None:
    with pytest.raises(StoreError, match="internal error"):
        follow(database, FakeConsumer([assign(R0), answered(R0, 0), Message(topic="results", partition=0)]))
    assert rows(database, "results") == [(0, 0)]


def test_until_idle_waits_for_every_partition(database: Database) -> None:
    steps = [assign(R0, D0), answered(R0, 0), end(R0, 1), *[None] * 40, end(D0, 0), dead(D0, 0), end(D0, 1)]
    consumer = FakeConsumer([*steps, *[None] * 10_000])
    mapping = TopicRowMapping({"results": result_row, "dead": dead_letter_row}, lambda: {})
    follower = Follower(consumer, database, mapping, StoreSettings(), Clock())
    follower.run(lambda: False, idle_s=1)
    assert follower.written == {"results": 1, "dead_letters": 1, "unreadable": 0}
    assert 10_000 - 200 < len(consumer.script) < 10_000


def test_a_row_of_a_traced_request_has_a_span_below_the_workers(database: Database) -> None:
    recorded, parent = list[Span](), TraceContext(0xA, 0xB, True)
    key, value, headers = result_record("r", "p", RecordId("q", 0, 1))
    traced = record(R0, 1, (key, value, [*headers, parent.header()]))
    consumer = FakeConsumer([assign(R0), answered(R0, 0), traced, end(R0, 2)])
    mapping = TopicRowMapping({"results": result_row}, lambda: {"results": "a"})
    Follower(consumer, database, mapping, StoreSettings(), Clock(), Spans(recorded.append)).run(
        lambda: not consumer.script
    )
    assert len(rows(database, "results")) == 2
    (span,) = recorded
    assert (span.name, span.parent, span.context.trace_id) == ("store", parent, parent.trace_id)
    assert 0 <= span.end_ns - span.start_ns < 60e9
