"""The lag that the reader finds in offsets, offset metadata, markers and ages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.consumers.kafka.broker import CommittedOffset, Member, Membership, Replicas
from sightstream.consumers.kafka.offset_metadata import encode
from sightstream.consumers.kafka.types import KafkaReadError, PartitionId
from sightstream.consumers.lag.reader import LagReader
from sightstream.consumers.lag.settings import LagSettings
from sightstream.consumers.lag.types import GroupLag, PartitionLag, PartitionState
from tests.consumers.kafka.fakes import FakeBroker, FakeConsumer, FakeLog

P0 = PartitionId("requests", 0)
P1 = PartitionId("requests", 1)
NOW_S = 1000.0


class Clock:
    now = 0.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def log(*offsets: int, end: int | None = None, start: int = 0) -> FakeLog:
    """A record written at `offset` seconds, for each."""
    return FakeLog({offset: offset * 1000 for offset in offsets}, end if end is not None else max(offsets) + 1, start)


def reader(
    logs: dict[PartitionId, FakeLog],
    committed: dict[PartitionId, CommittedOffset] | None = None,
    settings: LagSettings | None = None,
    consumer: FakeConsumer | None = None,
) -> LagReader:
    broker = FakeBroker(logs, {"g": committed or {}})
    clocks = (Clock(), lambda: NOW_S)
    return LagReader(broker, consumer or FakeConsumer(logs), {"g": ("requests",)}, settings or LagSettings(), clocks)


def only(groups: list[GroupLag]) -> PartitionLag:
    ((part,),) = [group.partitions for group in groups]
    return part


def test_partially_read() -> None:
    part = only(reader({P0: log(*range(10))}, {P0: CommittedOffset(4, None)}).read())
    assert (part.records, part.seconds, part.committed, part.stable_end) == (6, NOW_S - 4, 4, 10)


def test_a_trailing_marker_is_no_lag() -> None:
    part = only(reader({P0: log(0, 1, 2, end=4)}, {P0: CommittedOffset(3, None)}).read())
    assert (part.records, part.seconds) == (0, 0.0)


def test_markers_between_records_are_not_counted() -> None:
    part = only(reader({P0: log(0, 2, 4, 6, end=8)}, {P0: CommittedOffset(1, None)}).read())
    assert (part.records, part.seconds) == (3, NOW_S - 2)


def test_a_group_that_never_committed_counts_from_the_earliest_offset() -> None:
    part = only(reader({P0: log(5, 6, 7, start=5)}).read())
    assert (part.records, part.committed, part.seconds) == (3, None, NOW_S - 5)


def test_a_commit_older_than_the_log_counts_from_the_earliest_offset() -> None:
    assert only(reader({P0: log(5, 6, 7, start=5)}, {P0: CommittedOffset(1, None)}).read()).records == 3


def test_what_retention_removed_unread_is_counted() -> None:
    logs = {P0: log(5, 6, 7, start=5)}
    assert only(reader(logs, {P0: CommittedOffset(1, None)}).read()).removed_before_read == 4
    assert only(reader(logs, {P0: CommittedOffset(1, encode(1, ((2, 4), (6, 7))))}).read()).removed_before_read == 2
    assert only(reader(logs, {P0: CommittedOffset(5, None)}).read()).removed_before_read == 0
    assert only(reader(logs).read()).removed_before_read == 0


def test_a_commit_past_the_end_is_no_lag() -> None:
    part = only(reader({P0: log(0, 1)}, {P0: CommittedOffset(9, None)}).read())
    assert (part.records, part.seconds) == (0, 0.0)


def test_what_is_finished_beyond_the_commit_is_no_lag() -> None:
    metadata = encode(2, ((3, 6), (8, 9)))
    part = only(reader({P0: log(*range(10))}, {P0: CommittedOffset(2, metadata)}).read())
    assert (part.records, part.seconds) == (4, NOW_S - 2)  # 2, 6, 7, 9


def test_all_but_a_marker_finished_beyond_the_commit() -> None:
    metadata = encode(2, ((3, 6),))
    part = only(reader({P0: log(0, 1, 3, 4, 5, end=6)}, {P0: CommittedOffset(2, metadata)}).read())
    assert (part.records, part.seconds) == (0, 0.0)


def test_metadata_that_cannot_be_read_hides_nothing() -> None:
    assert only(reader({P0: log(*range(10))}, {P0: CommittedOffset(2, "ss1:!!")}).read()).records == 8


def test_without_a_budget_offsets_are_counted_after_one_record() -> None:
    many = {P0: log(*range(0, 2000, 2), end=2000)}
    metadata = encode(100, ((200, 300),))
    consumer = FakeConsumer(many)
    lag = reader(many, {P0: CommittedOffset(100, metadata)}, LagSettings(read_records=0), consumer=consumer)
    part = only(lag.read())
    assert (part.records, part.seconds, part.estimated) == (2000 - 100 - 100, NOW_S - 100, True)
    assert consumer.polls == 1


@given(st.sets(st.integers(0, 40)), st.integers(0, 45), st.sets(st.integers(0, 45)), st.integers(0, 60))
def test_counted_and_estimated_lag_agree_with_the_records(
    offsets: set[int], committed: int, done: set[int], read_records: int
) -> None:
    finished = tuple((n, n + 1) for n in sorted(done) if n > committed and n - 1 not in done)
    logs = {P0: FakeLog({n: n * 1000 for n in offsets}, 46)}
    settings = LagSettings(read_records=read_records)
    part = only(reader(logs, {P0: CommittedOffset(committed, encode(committed, finished))}, settings).read())
    left = sorted(n for n in offsets if n >= committed and not any(a <= n < b for a, b in finished))
    assert (part.records == 0) == (not left)
    assert part.records >= len(left)
    assert part.seconds == (NOW_S - left[0] if left else 0.0)
    if not part.estimated:
        assert part.records == len(left)
    assert not (part.estimated and read_records >= 46)


def test_an_age_is_never_negative() -> None:
    ahead = {P0: FakeLog({0: int(NOW_S * 1000) + 60_000}, 1)}
    assert only(reader(ahead).read()).seconds == 0.0


def test_a_broker_that_delivers_nothing_leaves_the_age_unknown() -> None:
    logs = {P0: log(*range(10))}
    broker, consumer = FakeBroker(logs), FakeConsumer(logs, silent=True)
    lag = LagReader(broker, consumer, {"g": ("requests",)}, LagSettings(read_timeout_s=0.01), (Clock(), Clock()))
    group = lag.read()[0]
    assert (group.partitions[0].records, group.partitions[0].seconds, group.seconds) == (10, None, None)


def test_every_reading_says_the_same() -> None:
    lag = reader({P0: log(*range(10))}, {P0: CommittedOffset(4, None)})
    assert [only(lag.read()).records for _ in range(3)] == [6, 6, 6]


def test_commits_are_read_before_ends() -> None:
    logs = {P0: log(0)}
    broker = FakeBroker(logs)
    LagReader(broker, FakeConsumer(logs), {"g": ("requests",), "h": ("requests",)}, LagSettings()).read()
    assert broker.asked == ["committed", "committed", "ends"]


def test_owners_and_members() -> None:
    logs = {P0: log(0), P1: log(0)}
    member = Member("m-1", "worker", "127.0.0.1")
    broker = FakeBroker(logs, membership_of={"g": Membership((member,), {P0: member})})
    group = LagReader(broker, FakeConsumer(logs), {"g": ("requests",)}, LagSettings()).read()[0]
    assert [part.owner for part in group.partitions] == [member, None]
    assert (group.members, group.records) == ((member,), 2)


def test_a_group_without_known_topics_shows_those_it_committed_on() -> None:
    logs = {P0: log(0, 1), PartitionId("other", 0): log(0)}
    broker = FakeBroker(logs, {"g": {P0: CommittedOffset(1, None)}})
    group = LagReader(broker, FakeConsumer(logs), {"g": ()}, LagSettings()).read()[0]
    assert [(part.topic, part.records) for part in group.partitions] == [("requests", 1)]


def test_time_to_empty_comes_from_successive_readings() -> None:
    clock = Clock()
    logs = {P0: log(*range(100))}
    broker = FakeBroker(logs, {"g": {P0: CommittedOffset(0, None)}})
    lag = LagReader(broker, FakeConsumer(logs), {"g": ("requests",)}, LagSettings(), (clock, lambda: NOW_S))
    assert lag.read()[0].queue_empty_seconds is None
    clock.now += 10
    broker.offsets["g"] = {P0: CommittedOffset(20, None)}
    assert lag.read()[0].queue_empty_seconds == pytest.approx(40, rel=0.05)
    broker.offsets["g"] = {P0: CommittedOffset(100, None)}
    assert lag.read()[0].queue_empty_seconds == 0


def test_a_pattern_stands_for_the_groups_that_exist_now() -> None:
    logs = {P0: log(0, 1), PartitionId("other", 0): log(0)}
    shop = {P0: CommittedOffset(1, None)}
    broker = FakeBroker(logs, {"shop-a": shop, "g": shop, "else": shop})
    lag = LagReader(broker, FakeConsumer(logs), {"shop-*": (), "g": ("requests",)}, LagSettings())
    assert [group.group for group in lag.read()] == ["g", "shop-a"]
    broker.offsets["shop-b"] = {PartitionId("other", 0): CommittedOffset(0, "free text of another tool")}
    found = {group.group: group.records for group in lag.read()}
    assert found == {"g": 1, "shop-a": 1, "shop-b": 1}


def test_somebody_elses_group_that_cannot_be_read_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    logs = {P0: log(0, 1)}
    broker = FakeBroker(logs, {"a": {}, "b": {P0: CommittedOffset(0, None)}}, forbidden={"a"})
    lag = LagReader(broker, FakeConsumer(logs), {"*": ()}, LagSettings())
    assert [[group.group for group in lag.read()] for _ in range(2)] == [["b"], ["b"]]
    assert len(caplog.records) == 1
    with pytest.raises(KafkaReadError):
        LagReader(broker, FakeConsumer(logs), {"a": ("requests",)}, LagSettings()).read()


def test_offsets_on_topics_that_are_gone_or_have_no_leader_are_left_out() -> None:
    logs = {P0: log(0, 1), P1: log(0)}
    offsets = dict.fromkeys((P0, P1, PartitionId("deleted", 0)), CommittedOffset(0, None))
    broker = FakeBroker(logs, {"g": offsets}, replicas_of={P1: Replicas(None, (1,), ())})
    reading = LagReader(broker, FakeConsumer(logs), {"g": ()}, LagSettings()).read_all()
    assert [(part.topic, part.partition) for part in reading.groups[0].partitions] == [("requests", 0)]
    assert reading.partitions == {P0: PartitionState(0, 2, Replicas(1, (1,), (1,)))}


def test_what_open_transactions_hold_back_is_counted_apart_from_lag() -> None:
    logs = {P0: log(0, 1)}
    broker = FakeBroker(logs, unstable={P0: 3})
    reading = LagReader(broker, FakeConsumer(logs), {"g": ("requests",)}, LagSettings()).read_all()
    assert (reading.partitions[P0].stable_end, reading.partitions[P0].unstable) == (2, 3)
    assert reading.groups[0].records == 2


def test_a_missing_topic_of_the_pipeline_is_an_error() -> None:
    broker = FakeBroker({P0: log(0)})
    with pytest.raises(KafkaReadError, match="the topic results does not exist"):
        LagReader(broker, FakeConsumer({}), {"g": ("results",)}, LagSettings()).read()


@pytest.mark.parametrize(
    ("workers", "settings", "seconds"),
    [
        ("g", {}, [None, pytest.approx(90 / 5 * 2, rel=0.05)]),
        ("g", {"gpu_s_per_image": 0.5}, [50, 45]),
        ("others", {}, [None, None]),
    ],
)
def test_gpu_seconds_of_the_workers_lag(workers: str, settings: dict[str, object], seconds: list[object]) -> None:
    logs, clock = {P0: log(*range(100))}, Clock()
    members = tuple(Member(f"m-{n}", "worker", "127.0.0.1") for n in range(2))
    broker = FakeBroker(logs, {"g": {P0: CommittedOffset(0, None)}}, membership_of={"g": Membership(members, {})})
    lag = LagReader(
        broker,
        FakeConsumer(logs),
        {"g": ("requests",)},
        LagSettings.model_validate(settings),
        (clock, lambda: NOW_S),
        workers,
    )
    found = [lag.read()[0].gpu_seconds]
    clock.now += 2
    broker.offsets["g"] = {P0: CommittedOffset(10, None)}
    assert [*found, lag.read()[0].gpu_seconds] == seconds
