from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest

from sightstream.consumers.worker.retries import Retries
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.consumers.worker.ticket import Ticket
from sightstream.pipeline.errors import Retryable
from sightstream.schemas.wire.dead_letter import RecordId, Stage
from sightstream.schemas.wire.request import ImageRef, ImageRequest

SETTINGS = WorkerSettings(
    max_attempts=3,
    backoff_s=1,
    max_backoff_s=4,
    outage_failures=4,
    probe_interval_s=2,
    max_unpublished=16,
    patience_s=60,
    outage_patience_s=7200,
)
STORE_DOWN = Retryable(Stage.FETCH, "503", "s3")
SERVER_DOWN = Retryable(Stage.INFER, "503", "model-server")
HOST_DOWN = Retryable(Stage.FETCH, "503")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def retries(clock: Clock) -> Retries:
    return Retries(SETTINGS, clock, Random(1))


def ticket(uri: str = "s3://b/k") -> Ticket:
    request = ImageRequest(
        request_id="r", product_id="p", image=ImageRef(uri=uri), question="?", submitted_at=datetime.now(UTC)
    )
    return Ticket(RecordId("t", 0, 0), None, b"", [], request)


def test_backs_off_and_gives_up(retries: Retries, clock: Clock) -> None:
    one = ticket("https://elsewhere.example/x")
    waits = []
    while retries.failed(one, HOST_DOWN):
        start = clock.now
        while retries.due() != [one]:
            clock.now += 0.05
        waits.append(clock.now - start)
    assert one.attempts == 3
    assert 0.5 <= waits[0] <= 1.1
    assert 1 <= waits[1] <= 2.1


def test_an_outage_is_waited_out(retries: Retries, clock: Clock) -> None:
    tickets = [ticket() for _ in range(30)]
    assert all(retries.failed(one, STORE_DOWN) for one in tickets)
    assert retries.down == {"s3"}
    probes = 0
    for _ in range(3600):
        clock.now += 1
        for one in retries.due():
            probes += 1
            assert retries.failed(one, STORE_DOWN)
    assert probes == pytest.approx(1800, abs=2)
    retries.succeeded(tickets[0], Stage.FETCH)
    clock.now += 10
    assert sorted(map(id, retries.due())) == sorted(map(id, tickets))


def test_a_model_server_that_is_down_is_probed_until_it_answers(retries: Retries, clock: Clock) -> None:
    tickets = [ticket() for _ in range(30)]
    assert all(retries.failed(one, SERVER_DOWN) for one in tickets)
    assert retries.down == {"model-server"}
    probes = 0
    for _ in range(60):
        clock.now += 1
        for one in retries.due():
            probes += 1
            assert retries.failed(one, SERVER_DOWN)
            retries.succeeded(ticket(), Stage.FETCH)  # broken images go on showing that only their store answers
    assert probes == pytest.approx(30, abs=2)
    assert retries.down == {"model-server"}
    retries.succeeded(tickets[0], Stage.INFER)
    assert retries.down == set()
    clock.now += 10
    assert sorted(map(id, retries.due())) == sorted(map(id, tickets))


def test_fresh_records_trickle_while_a_dependency_is_down(retries: Retries, clock: Clock) -> None:
    assert all(retries.admits() for _ in range(5))
    for _ in range(4):
        retries.failed(ticket(), STORE_DOWN)
    for _ in range(3):
        assert retries.admits()
        assert retries.admits()
        retries.admitted()
        assert not retries.admits()
        clock.now += 2


def test_other_places_are_tried_while_one_is_down(retries: Retries, clock: Clock) -> None:
    for _ in range(6):
        retries.failed(ticket(), STORE_DOWN)
    elsewhere = ticket("https://elsewhere.example/x")
    retries.failed(elsewhere, HOST_DOWN)
    clock.now += 1.5
    assert elsewhere in retries.due()


def test_broken_objects_in_a_working_store_are_given_up(retries: Retries, clock: Clock) -> None:
    """More of them than make an outage; fresh records that succeed tell the difference."""
    for _ in range(9):
        retries.failed(ticket(), STORE_DOWN)
    given_up = 0
    for _ in range(200):
        clock.now += 1
        if retries.admits():
            retries.admitted()
            retries.succeeded(ticket(), Stage.INFER)
        given_up += sum(not retries.failed(one, STORE_DOWN) for one in retries.due())
    assert given_up == 9
    assert len(retries) == 0


def test_a_brownout_gives_nobody_up_before_its_time(retries: Retries, clock: Clock) -> None:
    random = Random(3)
    flaky = [ticket() for _ in range(40)]
    given_up = [one for one in flaky if not retries.failed(one, STORE_DOWN)]
    for _ in range(59):
        clock.now += 1
        for one in retries.due():
            if random.random() < 0.1:
                retries.succeeded(one, Stage.INFER)
            elif not retries.failed(one, STORE_DOWN):
                given_up.append(one)
    assert not given_up


def test_an_outage_without_end_is_given_up_in_the_end(retries: Retries, clock: Clock) -> None:
    one = ticket()
    for _ in range(6):
        retries.failed(ticket(), STORE_DOWN)
    assert retries.failed(one, STORE_DOWN)
    clock.now += 7201
    assert not retries.failed(one, STORE_DOWN)


def test_what_was_handed_back_is_forgotten(retries: Retries, clock: Clock) -> None:
    mine, theirs = ticket(), ticket()
    retries.failed(mine, HOST_DOWN)
    retries.failed(theirs, HOST_DOWN)
    retries.forget({theirs})
    clock.now += 100
    assert retries.due() == [mine]
