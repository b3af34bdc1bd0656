"""When a request is tried again, when it is given up, and how an outage differs from broken objects."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from sightstream.consumers.worker.delivery import Delivery
from sightstream.consumers.worker.retry_queue import RetryQueue
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.pipeline.errors import Rejected, Retryable
from sightstream.pipeline.types import Origin
from sightstream.schemas.wire.dead_letter import Reason, RecordId, Stage
from sightstream.schemas.wire.request import ImageRef, ImageRequest

SETTINGS = WorkerSettings(
    max_attempts=3,
    backoff_s=1,
    max_backoff_s=4,
    breaker_failures=4,
    breaker_probe_s=2,
    max_unpublished=16,
    retry_timeout_s=60,
    outage_retry_timeout_s=7200,
)
STORE_DOWN = Retryable(Stage.FETCH, "503", "s3://b")
SERVER_DOWN = Retryable(Stage.INFER, "503", "model-server")
DENIED = Retryable(Stage.FETCH, "403", "s3://b", Rejected(Reason.ACCESS_DENIED, Stage.FETCH, "403"))
HOST_DOWN = Retryable(Stage.FETCH, "503")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> RetryQueue:
    return RetryQueue(SETTINGS, clock, Random(1))


def delivery(uri: str = "s3://b/k", deadline: datetime | None = None) -> Delivery:
    """A delivery whose origin is a bucket that the worker relies on, or a foreign host."""
    request = ImageRequest(
        request_id="r",
        product_id="p",
        image=ImageRef(uri=uri),
        question="?",
        submitted_at=datetime.now(UTC),
        deadline=deadline,
    )
    scheme, _, rest = uri.partition("://")
    host = rest.partition("/")[0]
    origin = Origin(f"s3://{host}", "s3", True) if scheme == "s3" else Origin(host, "other", False)
    return Delivery(RecordId("t", 0, 0), None, b"", [], request, origin=origin)


def fail(queue: RetryQueue, delivery: Delivery, error: Retryable) -> bool:
    """One more attempt that failed, counted as Outcomes counts it."""
    delivery.attempts += 1
    return queue.add(delivery, error)


def test_backs_off_and_gives_up(queue: RetryQueue, clock: Clock) -> None:
    one = delivery("https://elsewhere.example/x")
    waits = []
    while fail(queue, one, HOST_DOWN):
        start = clock.now
        while queue.due() != [one]:
            clock.now += 0.05
        waits.append(clock.now - start)
    assert one.attempts == 3
    assert 0.5 <= waits[0] <= 1.1
    assert 1 <= waits[1] <= 2.1


def test_a_request_past_its_deadline_uses_up_no_probe(queue: RetryQueue, clock: Clock) -> None:
    """The flow rejects it without asking the dependency, so it would find nothing out."""
    expired = [delivery(deadline=datetime.now(UTC) - timedelta(seconds=1)) for _ in range(20)]
    wanted = delivery(deadline=datetime.now(UTC) + timedelta(hours=1))
    for one in [*expired, wanted]:
        assert fail(queue, one, STORE_DOWN)
    clock.now += SETTINGS.max_backoff_s
    assert set(queue.due()) == {*expired, wanted}


def test_an_outage_is_waited_out(queue: RetryQueue, clock: Clock) -> None:
    deliveries = [delivery() for _ in range(30)]
    assert all(fail(queue, one, STORE_DOWN) for one in deliveries)
    assert queue.down == {"s3://b"}
    probes = 0
    for _ in range(3600):
        clock.now += 1
        for one in queue.due():
            probes += 1
            assert fail(queue, one, STORE_DOWN)
    assert probes == pytest.approx(1800, abs=2)
    queue.record_success(deliveries[0], Stage.FETCH)
    clock.now += 10
    assert sorted(map(id, queue.due())) == sorted(map(id, deliveries))


def test_a_model_server_that_is_down_is_probed_until_it_answers(queue: RetryQueue, clock: Clock) -> None:
    deliveries = [delivery() for _ in range(30)]
    assert all(fail(queue, one, SERVER_DOWN) for one in deliveries)
    assert queue.down == {"model-server"}
    probes = 0
    for _ in range(60):
        clock.now += 1
        for one in queue.due():
            probes += 1
            assert fail(queue, one, SERVER_DOWN)
            queue.record_success(delivery(), Stage.FETCH)  # broken images go on showing that only their store answers
    assert probes == pytest.approx(30, abs=2)
    assert queue.down == {"model-server"}
    queue.record_success(deliveries[0], Stage.INFER)
    assert queue.down == set()
    clock.now += 10
    assert sorted(map(id, queue.due())) == sorted(map(id, deliveries))


def test_other_hosts_are_tried_while_one_is_down(queue: RetryQueue, clock: Clock) -> None:
    for _ in range(6):
        fail(queue, delivery(), STORE_DOWN)
    elsewhere = delivery("https://elsewhere.example/x")
    fail(queue, elsewhere, HOST_DOWN)
    clock.now += 1.5
    assert elsewhere in queue.due()


def test_broken_objects_in_a_working_store_are_given_up(queue: RetryQueue, clock: Clock) -> None:
    """There are more of them than make an outage; new records that succeed tell the difference."""
    broken = [delivery() for _ in range(9)]
    for one in broken:
        fail(queue, one, STORE_DOWN)
    good: set[Delivery] = set()
    given_up = 0
    for _ in range(200):
        clock.now += 1
        fresh = delivery()
        good.add(fresh)
        if queue.breakers.blocking(fresh):
            queue.wait(fresh, "s3://b")
        else:
            queue.record_success(fresh, Stage.INFER)
        for one in queue.due():
            if one in good:
                queue.record_success(one, Stage.INFER)
            else:
                given_up += not fail(queue, one, STORE_DOWN)
    assert given_up == 9
    assert len(queue) <= 1, "a record that was never tried is the first probe, so those that work hardly wait"


def test_a_brownout_gives_no_request_up_before_its_time(queue: RetryQueue, clock: Clock) -> None:
    random = Random(3)
    flaky = [delivery() for _ in range(40)]
    given_up = [one for one in flaky if not fail(queue, one, STORE_DOWN)]
    for _ in range(59):
        clock.now += 1
        for one in queue.due():
            if random.random() < 0.1:
                queue.record_success(one, Stage.INFER)
            elif not fail(queue, one, STORE_DOWN):
                given_up.append(one)
    assert not given_up


def test_an_outage_without_end_is_given_up_in_the_end(queue: RetryQueue, clock: Clock) -> None:
    one = delivery()
    for _ in range(6):
        fail(queue, delivery(), STORE_DOWN)
    assert fail(queue, one, STORE_DOWN)
    clock.now += 7201
    assert not fail(queue, one, STORE_DOWN)


def test_deliveries_that_were_handed_back_are_discarded(queue: RetryQueue, clock: Clock) -> None:
    mine, theirs = delivery(), delivery()
    fail(queue, mine, HOST_DOWN)
    fail(queue, theirs, HOST_DOWN)
    queue.discard({theirs})
    clock.now += 100
    assert queue.due() == [mine]


def test_a_request_that_waits_for_an_outage_has_no_attempt(queue: RetryQueue, clock: Clock) -> None:
    for _ in range(4):
        fail(queue, delivery(), STORE_DOWN)
    waiting = delivery()
    queue.wait(waiting, "s3://b")
    assert queue.waiting_for("s3://b") == 5
    clock.now += 3600
    assert queue.due() == [waiting]
    assert (waiting.attempts, waiting.failing_since) == (0, None)


def test_two_dependencies_that_are_down_are_probed_each(queue: RetryQueue, clock: Clock) -> None:
    other_down = Retryable(Stage.FETCH, "503", "s3://other")
    for _ in range(4):
        fail(queue, delivery(), STORE_DOWN)
        fail(queue, delivery("s3://other/k"), other_down)
    for _ in range(20):
        clock.now += 10
        probes = queue.due()
        assert sorted(one.origin.name for one in probes if one.origin) == ["s3://b", "s3://other"]
        for one in probes:
            fail(queue, one, STORE_DOWN if one.origin and one.origin.name == "s3://b" else other_down)


def test_what_is_due_for_one_dependency_waits_for_another_that_it_needs(queue: RetryQueue, clock: Clock) -> None:
    elsewhere = delivery("https://elsewhere.example/x")
    fail(queue, elsewhere, HOST_DOWN)
    for _ in range(4):
        fail(queue, delivery(), SERVER_DOWN)
    clock.now += 1.5
    assert elsewhere not in queue.due()
    assert queue.waiting_for("elsewhere.example") == 0
    assert queue.waiting_for("model-server") == 5


# --- refusals ---------------------------------------------------------------------------------------------------


def test_one_refused_image_among_others_is_given_up_after_the_next_one_was_read(
    queue: RetryQueue, clock: Clock
) -> None:
    one = delivery()
    assert fail(queue, one, DENIED)
    clock.now += 1
    assert queue.due() == [one]
    queue.record_success(delivery(), Stage.INFER)
    assert not fail(queue, one, DENIED)


def test_a_refused_image_alone_is_given_up_after_its_attempts(queue: RetryQueue, clock: Clock) -> None:
    one = delivery()
    tries = 1
    while fail(queue, one, DENIED):
        clock.now += 10
        tries += 1
        assert queue.due() == [one]
    assert tries == SETTINGS.max_attempts
    assert queue.down == set()


def test_a_run_of_refusals_is_an_outage_until_an_image_is_read(queue: RetryQueue, clock: Clock) -> None:
    waiting = [delivery() for _ in range(6)]
    for one in waiting:
        assert fail(queue, one, DENIED)
    assert queue.down == {"s3://b"}
    for _ in range(600):
        clock.now += 1
        for one in queue.due():
            assert fail(queue, one, DENIED)
    queue.record_success(delivery(), Stage.FETCH, was_read=False)
    assert queue.down == {"s3://b"}, "a missing object shows that the store is up, but not that it lets us read"
    queue.record_success(delivery(), Stage.FETCH)
    assert queue.down == set()
    clock.now += 10
    due = queue.due()
    assert len(due) == 6
    assert not any(fail(queue, one, DENIED) for one in due), "now the refusals are known to be their own"


def test_a_missing_object_ends_an_outage_of_connections(queue: RetryQueue) -> None:
    for _ in range(4):
        fail(queue, delivery(), STORE_DOWN)
    queue.record_success(delivery(), Stage.FETCH, was_read=False)
    assert queue.down == set()
