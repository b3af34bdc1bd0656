"""Runs of the redrive on topics in memory: each letter at most once, and none is out of reach."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightstream.consumers.kafka.span_reader import OffsetSpan
from sightstream.consumers.redrive import job, redrive_pass
from sightstream.consumers.redrive.decision import Decision, Policy
from sightstream.consumers.redrive.errors import InDoubt, RedriveError, Superseded, UnreadableMarker
from sightstream.consumers.redrive.filters import Filter
from sightstream.consumers.redrive.job import RedriveJob, preview
from sightstream.consumers.redrive.letter import Record
from sightstream.consumers.redrive.pace import Pace
from sightstream.consumers.redrive.protocol import OutgoingRecord
from sightstream.consumers.redrive.redrive_pass import Plan
from sightstream.consumers.redrive.tally import Tally
from sightstream.schemas.wire.dead_letter import Headers, Reason, RecordId, omitted_headers
from sightstream.schemas.wire.redrive import History, LetterId
from tests.consumers.redrive.fakes import FakeCluster, FakeTopics, Fault, Killed
from tests.consumers.redrive.samples import LETTERS, NOON, Listener, failure_headers, request_value

REASONS = [Reason.IMAGE_NOT_FOUND, Reason.RETRIES_EXHAUSTED, Reason.MALFORMED]


def run(cluster: FakeCluster, plan: Plan | None = None, faults: Sequence[Fault] = ()) -> Tally:
    topics = FakeTopics(cluster, faults)
    made = RedriveJob(topics, cluster.names, plan or Plan(), Pace(None), now=lambda: NOON, sleep=lambda s: None)
    return made.run(Listener())


def look(cluster: FakeCluster, plan: Plan | None = None) -> Tally:
    return preview(FakeTopics(cluster), cluster.names, plan or Plan(), Listener(), now=lambda: NOON)


def filled(count: int = 9) -> FakeCluster:
    cluster = FakeCluster()
    for number in range(count):
        headers: Headers = [("trace", b"%d" % number), *failure_headers(REASONS[number % 3], number)]
        cluster.put_letter(number % 2, b"p-1", request_value(number), headers)
    return cluster


def history(record: Record) -> History:
    found = History.from_headers(record.headers or [])
    assert found is not None
    return found


def redriven(cluster: FakeCluster) -> Counter[str]:
    """How often each letter was published again."""
    return Counter(str(history(record).letter) for record in cluster.requests)


def die_again(cluster: FakeCluster, record: Record) -> None:
    """What a worker does when a redriven request fails again."""
    cluster.put_letter(0, record.key, record.value, failure_headers() + history(record).headers())


def test_a_request_goes_out_byte_for_byte_with_its_headers_and_its_history() -> None:
    cluster = FakeCluster()
    at = cluster.put_letter(
        1, b"k\x00", b"{not json\xff", [("a", None), ("a", b"\xff"), *failure_headers("odd_reason", 7)]
    )
    assert run(cluster).decisions[Decision.REDRIVE] == {"odd_reason": 1}
    (sent,) = cluster.requests
    assert (sent.at.topic, sent.key, sent.value) == (cluster.names.requests, b"k\x00", b"{not json\xff")
    assert (sent.headers or [])[:2] == [("a", None), ("a", b"\xff")]
    first = RecordId("image.requests", 0, 7)
    expected = History(1, LetterId(LETTERS, "fake-id", 1, at.offset), first, "odd_reason", NOON)
    assert history(sent) == expected
    assert (sent.headers or [])[2:] == expected.headers()
    assert [marker.key for marker in cluster.markers] == [str(expected.letter).encode()]


def test_a_second_run_does_nothing() -> None:
    cluster = filled()
    assert run(cluster).count(Decision.REDRIVE) == 9
    again = run(cluster)
    assert (again.count(Decision.REDRIVE), again.count(Decision.KEEP_REDRIVEN)) == (0, 9)
    assert len(cluster.requests) == 9


def test_a_dry_run_says_what_a_run_does_and_writes_nothing() -> None:
    cluster = filled()
    looked = look(cluster, Plan(Filter(frozenset({"malformed"})), limit=2))
    assert (cluster.requests, cluster.markers, cluster.epoch) == ([], [], 0)
    assert looked.decisions == run(cluster, Plan(Filter(frozenset({"malformed"})), limit=2)).decisions
    assert looked.limit_reached


def test_overlapping_filters_leave_nothing_out_and_nothing_twice() -> None:
    cluster = filled()
    run(cluster, Plan(Filter(frozenset({"malformed", "image_not_found"}))))
    run(cluster, Plan(Filter(frozenset({"malformed", "retries_exhausted"}))))
    assert set(redriven(cluster).values()) == {1}
    assert len(cluster.requests) == 9


def test_the_limit_counts_what_an_earlier_attempt_of_the_run_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redrive_pass, "BATCH_RECORDS", 2)
    cluster = filled()
    tally = run(cluster, Plan(limit=5), ["none", "doubt_committed"])
    assert (tally.count(Decision.REDRIVE), tally.limit_reached) == (5, True)
    assert len(cluster.requests) == 5


def test_a_doubt_is_resolved_by_reading_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redrive_pass, "BATCH_RECORDS", 2)
    cluster = filled()
    tally = run(cluster, faults=["doubt_committed", "doubt_aborted", "none", "doubt_committed"])
    assert tally.count(Decision.REDRIVE) == 9
    assert set(redriven(cluster).values()) == {1}


def test_what_failed_again_meanwhile_is_left_to_a_later_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redrive_pass, "BATCH_RECORDS", 2)
    cluster = filled()

    class Topics(FakeTopics):
        def commit(self, records: Sequence[OutgoingRecord]) -> None:
            super().commit(records)
            die_again(cluster, cluster.requests[-1])

    made = RedriveJob(Topics(cluster), cluster.names, Plan(), Pace(None), now=lambda: NOON)
    assert made.run(Listener()).count(Decision.REDRIVE) == 9
    assert run(cluster).count(Decision.REDRIVE) == 5
    assert {history(record).count for record in cluster.requests} == {1, 2}


def test_a_broker_that_stays_away_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, now = filled(), [0.0]

    def sleep(seconds: float) -> None:
        now[0] += 50

    topics = FakeTopics(cluster, ["doubt_aborted"] * 10)
    made = RedriveJob(topics, cluster.names, Plan(), Pace(None), now=lambda: NOON, clock=lambda: now[0], sleep=sleep)
    with pytest.raises(InDoubt):
        made.run(Listener())
    assert 2 <= now[0] / 50 <= job.RECOVERY_S / 50 + 2


def test_a_second_command_ends_the_first() -> None:
    cluster = filled()

    class Overtaken(FakeTopics):
        def commit(self, records: Sequence[OutgoingRecord]) -> None:
            run(cluster, Plan(limit=4))
            super().commit(records)

    with pytest.raises(Superseded):
        RedriveJob(Overtaken(cluster), cluster.names, Plan(), Pace(None), now=lambda: NOON).run(Listener())
    assert len(cluster.requests) == 4
    run(cluster)
    assert set(redriven(cluster).values()) == {1}
    assert len(cluster.requests) == 9


def test_a_record_that_the_broker_refuses_costs_only_itself() -> None:
    cluster = filled()
    cluster.refuses = lambda record: record.value == request_value(4)
    tally = run(cluster)
    assert (tally.count(Decision.REDRIVE), tally.count(Decision.KEEP_REFUSED)) == (8, 1)
    assert len(cluster.requests) == len(cluster.markers) == 8
    cluster.refuses = lambda record: False
    assert run(cluster).count(Decision.REDRIVE) == 1


def test_what_failed_again_too_often_is_parked_and_listed_apart() -> None:
    cluster = FakeCluster()
    cluster.put_letter(0, b"p", request_value(0), failure_headers())
    for _ in range(3):
        assert run(cluster).count(Decision.REDRIVE) == 1
        die_again(cluster, cluster.requests[-1])
    assert look(cluster).count(Decision.PARK) == 1
    assert run(cluster).count(Decision.PARK) == 1
    assert len(cluster.requests) == 3
    assert run(cluster).count(Decision.KEEP_PARKED) == 1
    assert run(cluster, Plan(policy=Policy(include_parked=True))).count(Decision.REDRIVE) == 1
    assert history(cluster.requests[-1]).count == 4
    assert run(cluster).count(Decision.KEEP_REDRIVEN) == 4


def test_a_passed_deadline_would_only_kill_it_again() -> None:
    cluster = FakeCluster()
    for minutes in (-1, 1):
        value = request_value(0, deadline=NOON + timedelta(minutes=minutes))
        cluster.put_letter(0, b"p", value, failure_headers())
    assert look(cluster).count(Decision.KEEP_EXPIRED) == 1
    tally = run(cluster)
    assert (tally.count(Decision.REDRIVE), tally.count(Decision.KEEP_EXPIRED)) == (1, 1)
    assert run(cluster, Plan(policy=Policy(include_expired=True))).count(Decision.REDRIVE) == 1


def test_an_omitted_record_is_read_again_where_it_came_from() -> None:
    cluster = FakeCluster()
    cluster.requests.append(
        Record(RecordId("image.requests", 0, 0), b"k", b"large", [("a", b"1"), ("sightstream-x", b"")])
    )
    for offset, value in ((0, b"large"), (0, b"other"), (5, b"large")):
        headers = failure_headers(source_offset=offset) + omitted_headers(b"k", value)
        cluster.put_letter(0, None, None, headers)
    tally = run(cluster)
    assert (tally.count(Decision.REDRIVE), tally.count(Decision.KEEP_GONE)) == (1, 2)
    sent = cluster.requests[-1]
    assert (sent.key, sent.value, (sent.headers or [])[0]) == (b"k", b"large", ("a", b"1"))
    assert len(cluster.letters[0]) == 3


def test_a_record_that_nobody_could_read_is_not_published_as_an_empty_one() -> None:
    cluster = FakeCluster()
    cluster.requests.append(Record(RecordId("image.requests", 0, 0), b"k", b"v", []))
    cluster.put_letter(0, None, None, failure_headers("unreadable_record"))
    assert run(cluster).count(Decision.KEEP_GONE) == 1
    assert len(cluster.requests) == 1
    cluster.put_letter(0, None, None, failure_headers("unreadable_record") + omitted_headers(b"k", b"v"))
    cluster.put_letter(0, None, None, failure_headers("malformed"))
    assert run(cluster).count(Decision.REDRIVE) == 2
    assert [(record.key, record.value) for record in cluster.requests[1:]] == [(b"k", b"v"), (None, None)]


def test_records_that_are_no_letters_are_counted() -> None:
    cluster = filled(2)
    cluster.put_letter(0, b"p", b"somebody else's", [("a", b"1")])
    cluster.put_letter(0, b"p", b"its header's name is no text", None)
    cluster.markers.append(Record(RecordId("image.redrives", 0, 0), b"odd", b"", []))
    reading = run(cluster).reading
    assert (reading.letters, reading.foreign, reading.without_record, reading.foreign_markers) == (2, 2, 4, 1)


def test_a_marker_of_a_later_version_stops_the_run() -> None:
    cluster = filled(1)
    key = str(LetterId(LETTERS, "fake-id", 0, 0)).encode()
    cluster.markers.append(Record(RecordId("image.redrives", 0, 3), key, b'{"schema_version":2}', []))
    with pytest.raises(UnreadableMarker, match=r"image.redrives/0/3: .*update this one"):
        run(cluster)
    assert cluster.requests == []


def test_a_topic_created_again_has_other_letters() -> None:
    cluster = filled(2)
    run(cluster)
    cluster.topic_id = "another"
    assert run(cluster).count(Decision.REDRIVE) == 2

    class Recreated(FakeTopics):
        def commit(self, records: Sequence[OutgoingRecord]) -> None:
            raise AssertionError("letters of one topic under the id of another")

        def letters(self, spans: Mapping[int, OffsetSpan]) -> Iterator[Record]:
            cluster.topic_id = "third"
            return super().letters(spans)

    cluster.topic_id = "one more"
    with pytest.raises(RedriveError, match="created again"):
        RedriveJob(Recreated(cluster), cluster.names, Plan(), Pace(None), now=lambda: NOON).run(Listener())


def test_a_run_that_is_asked_to_stop_keeps_what_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redrive_pass, "BATCH_RECORDS", 2)
    cluster = filled()
    made = RedriveJob(
        FakeTopics(cluster),
        cluster.names,
        Plan(),
        Pace(None),
        stop=lambda: len(cluster.requests) >= 4,
        now=lambda: NOON,
    )
    tally = made.run(Listener())
    assert tally.stopped
    assert tally.count(Decision.REDRIVE) == len(cluster.requests) == 4


@dataclass(frozen=True)
class Attempt:
    """One command: what it selects, and what happens at its commits."""

    reasons: frozenset[str]
    limit: int | None
    faults: list[Fault]
    batch: int


every_fault: list[Fault] = ["none", "doubt_committed", "doubt_aborted", "killed_before", "killed_after"]
attempts = st.builds(
    Attempt,
    reasons=st.frozensets(st.sampled_from([str(reason) for reason in REASONS])),
    limit=st.none() | st.integers(1, 6),
    faults=st.lists(st.sampled_from(every_fault), max_size=4),
    batch=st.integers(1, 4),
)


@settings(max_examples=200)
@given(st.integers(0, 12), st.lists(attempts, max_size=5))
def test_whatever_dies_each_is_redriven_at_most_once_and_none_is_out_of_reach(count: int, runs: list[Attempt]) -> None:
    cluster = filled(count)
    for attempt in runs:
        with pytest.MonkeyPatch.context() as patch, suppress(Killed):
            patch.setattr(redrive_pass, "BATCH_RECORDS", attempt.batch)
            run(cluster, Plan(Filter(attempt.reasons), limit=attempt.limit), attempt.faults)
    assert all(times == 1 for times in redriven(cluster).values())
    assert sorted(redriven(cluster)) == sorted((m.key or b"").decode() for m in cluster.markers)
    run(cluster)
    assert len(redriven(cluster)) == len(cluster.requests) == count
