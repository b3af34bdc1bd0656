"""Redriving on a real broker: whatever dies, each letter is published again at most once, and none is out of reach."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from sightstream.consumers.redrive import job, redrive_pass
from sightstream.consumers.redrive.decision import Decision
from sightstream.consumers.redrive.errors import InDoubt, RedriveError, Superseded
from sightstream.consumers.redrive.filters import Filter
from sightstream.consumers.redrive.job import RedriveJob, preview
from sightstream.consumers.redrive.kafka_topics import KafkaTopics
from sightstream.consumers.redrive.letter import Record
from sightstream.consumers.redrive.pace import Pace
from sightstream.consumers.redrive.redrive_pass import Plan
from sightstream.consumers.redrive.tally import Tally
from sightstream.consumers.redrive.transaction import TransactionalProducer, create_producer
from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.dead_letter import Headers, Reason, omitted_headers
from sightstream.schemas.wire.redrive import History
from sightstream.schemas.wire.topics import TopicSettings
from tests.consumers.redrive.backends import FaultyProducer, RealCluster
from tests.consumers.redrive.fakes import Killed
from tests.consumers.redrive.samples import Listener, failure_headers, request_value

pytestmark = pytest.mark.real

REASONS = [Reason.IMAGE_NOT_FOUND, Reason.RETRIES_EXHAUSTED, Reason.MALFORMED]
FIRST_TWO = Filter(frozenset({"image_not_found", "retries_exhausted"}))
LAST_TWO = Filter(frozenset({"retries_exhausted", "malformed"}))
Hook = Callable[[str], None]


@pytest.fixture
def cluster(runtime: LocalRuntime, topics: TopicSettings) -> RealCluster:
    return RealCluster(runtime.kafka_settings, topics)


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redrive_pass, "BATCH_RECORDS", 5)
    monkeypatch.setattr(job, "PAUSE_S", 0.01)


def fill(cluster: RealCluster, count: int) -> None:
    def letters() -> Iterator[tuple[int, bytes, bytes, Headers]]:
        for number in range(count):
            headers = failure_headers(REASONS[number % 3], number)
            yield number % 4, b"p-%d" % (number % 4), request_value(number, f"p-{number % 4}"), headers

    cluster.put_letters(letters())


def run(cluster: RealCluster, plan: Plan | None = None, on: Hook = lambda point: None) -> Tally:
    topics = cluster.topics(lambda config: FaultyProducer(config, on))
    return RedriveJob(topics, cluster.names, plan or Plan(), Pace(None)).run(Listener())


def die_at(point: str, nth: int) -> Hook:
    """End the run at the n-th time that it reaches the point, as SIGKILL does: nothing is closed or aborted."""
    seen: Counter[str] = Counter()

    def on(reached: str) -> None:
        seen[reached] += 1
        if (reached, seen[reached]) == (point, nth):
            raise Killed

    return on


def published(cluster: RealCluster) -> Counter[str]:
    """How often each letter was published again, as a read_committed reader sees it."""
    histories = [History.from_headers(record.headers or []) for record in cluster.requests]
    return Counter(str(history.letter) for history in histories if history)


def marked(cluster: RealCluster) -> set[str]:
    return {(record.key or b"").decode() for record in cluster.markers}


def test_a_kill_at_any_point_redrives_nothing_twice_and_puts_nothing_out_of_reach(cluster: RealCluster) -> None:
    fill(cluster, 45)
    for number, point in enumerate(FaultyProducer.POINTS):
        plan = Plan((FIRST_TWO, LAST_TWO)[number % 2])
        with pytest.raises(Killed):
            run(cluster, plan, die_at(point, 1 if point == "opened" else 2))
        found = published(cluster)
        assert set(found.values()) <= {1}, f"I2: killed at {point}, it has published a request twice"
        assert set(found) == marked(cluster), f"I2: killed at {point}, its markers differ from what it has published"
    run(cluster)
    assert len(published(cluster)) == len(cluster.requests) == len(marked(cluster)) == 45
    assert run(cluster).count(Decision.KEEP_REDRIVEN) == 45


def test_of_two_commands_at_once_the_later_one_goes_on_and_the_earlier_ends(cluster: RealCluster) -> None:
    fill(cluster, 30)
    second: list[Tally] = []

    def on(point: str) -> None:
        if point == "produced" and not second:
            thread = threading.Thread(target=lambda: second.append(run(cluster, Plan(LAST_TWO))))
            thread.start()
            thread.join(60)

    with pytest.raises(Superseded, match="another redrive has begun"):
        run(cluster, Plan(FIRST_TWO), on)
    assert second[0].count(Decision.REDRIVE) == 20
    assert set(published(cluster).values()) == {1}
    run(cluster)
    assert len(published(cluster)) == len(cluster.requests) == 30


def test_what_another_run_commits_until_it_is_fenced_is_seen(cluster: RealCluster) -> None:
    fill(cluster, 12)

    def create(config: dict[str, Any]) -> TransactionalProducer:
        run(cluster)  # another run, from its start to its end, just before this one's producer
        return create_producer(config)

    tally = RedriveJob(cluster.topics(create), cluster.names, Plan(), Pace(None)).run(Listener())
    assert tally.count(Decision.KEEP_REDRIVEN) == 12
    assert len(published(cluster)) == len(cluster.requests) == 12


@pytest.mark.parametrize("committed", [False, True])
def test_a_commit_without_a_reply_is_resolved_by_reading_the_markers(cluster: RealCluster, committed: bool) -> None:
    fill(cluster, 20)
    lost: list[str] = []

    def on(point: str) -> None:
        if point == ("committed" if committed else "produced") and not lost:
            lost.append(point)
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    assert run(cluster, on=on).count(Decision.REDRIVE) == 20
    assert lost
    assert len(published(cluster)) == len(cluster.requests) == 20


def test_an_open_transaction_of_somebody_else_on_the_markers_stops_it(
    cluster: RealCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(cluster, 5)
    monkeypatch.setattr(job, "RECOVERY_S", 0.0)
    alien = Producer(cluster.kafka.producer_config() | {"transactional.id": f"{cluster.names.redrives}-alien"})
    alien.init_transactions(30)
    alien.begin_transaction()
    alien.produce(cluster.names.redrives, b"?", b"?")
    assert alien.flush(30) == 0
    with pytest.raises(InDoubt, match=r"an open transaction on .*redrives hides"):
        run(cluster)
    assert cluster.requests == []
    alien.abort_transaction(30)
    assert run(cluster).count(Decision.REDRIVE) == 5


def test_a_request_goes_to_the_partition_of_its_key_byte_for_byte(cluster: RealCluster) -> None:
    keys: list[bytes | None] = [b"p-1", b"\x00\xff", b"", "ü".encode(), b"x" * 300]
    first = {key: cluster.put_request(key, b"v").partition for key in keys}
    headers: Headers = [("a", None), ("a", b"\xff\x00"), ("b", b"")]
    for value in (None, b"", b"\xff{"):
        cluster.put_letters((0, key, value, headers + failure_headers()) for key in keys)
    cluster.put_letter(0, None, b"no key", failure_headers())
    run(cluster)
    again: list[Record] = [record for record in cluster.requests if record.headers]
    assert len(again) == 16
    assert {(r.key, r.value) for r in again} == {(k, v) for k in keys for v in (None, b"", b"\xff{")} | {
        (None, b"no key")
    }
    assert all(record.at.partition == first[record.key] for record in again if record.key is not None)
    assert all((record.headers or [])[:3] == headers for record in again if record.key is not None)


def test_letters_of_one_key_keep_their_order(cluster: RealCluster) -> None:
    fill(cluster, 40)
    run(cluster)
    last: dict[bytes | None, int] = {}
    for record in cluster.requests:  # in the order of each partition
        history = History.from_headers(record.headers or [])
        assert history is not None
        assert history.first_source.offset > last.get(record.key, -1)
        last[record.key] = history.first_source.offset


def test_aborted_letters_and_transaction_markers_are_only_counted(cluster: RealCluster) -> None:
    fill(cluster, 8)
    cluster.put_letters([(0, b"p", b"aborted", failure_headers())] * 3, commit=False)
    cluster.put_letter(1, b"p", b"somebody else's", [("a", b"1")])
    tally = preview(cluster.topics(), cluster.names, Plan(), Listener())
    assert tally.count(Decision.REDRIVE) == 8
    assert (tally.reading.letters, tally.reading.foreign) == (8, 1)
    assert tally.reading.without_record == 4 + 3 + 1 + 1  # ends of three transactions, and three aborted records
    assert run(cluster).count(Decision.REDRIVE) == 8


def test_a_large_record_is_read_again_from_the_request_topic(cluster: RealCluster) -> None:
    huge = b"x" * (3 * 1024**2)
    at = cluster.put_request(b"k", huge, [("trace", b"1")])
    headers = failure_headers(Reason.REQUEST_TOO_LARGE, at.offset, cluster.names.requests)
    assert at.partition in range(4)
    source = [(n, v) if n != "sightstream-source-partition" else (n, b"%d" % at.partition) for n, v in headers]
    cluster.put_letter(0, None, None, source + omitted_headers(b"k", huge))
    cluster.put_letter(0, None, None, source + omitted_headers(b"k", b"something else"))
    tally = run(cluster)
    assert (tally.count(Decision.REDRIVE), tally.count(Decision.KEEP_GONE)) == (1, 1)
    first, second = cluster.requests
    assert (second.key, second.value) == (first.key, first.value)
    assert (second.headers or [])[0] == ("trace", b"1")


def test_a_marker_topic_that_forgets_is_refused(cluster: RealCluster, runtime: LocalRuntime) -> None:
    cluster.topics().check()
    for change, message in (
        ({"redrives": cluster.names.results}, "cleanup.policy=delete and would forget"),
        ({"redrives": f"{cluster.names.redrives}.missing"}, "do not exist; create"),
    ):
        with pytest.raises(RedriveError, match=message):
            KafkaTopics(runtime.kafka_settings, cluster.names.model_copy(update=change)).check()
