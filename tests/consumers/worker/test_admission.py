"""How much of a worker may wait for what is down, and that the rest is left for what works."""

from __future__ import annotations

from random import Random
from typing import cast

import pytest

from sightstream.consumers.worker.admission import Admission, AdmissionControl
from sightstream.consumers.worker.delivery import Delivery
from sightstream.consumers.worker.request_flow import RequestFlow
from sightstream.consumers.worker.retry_queue import RetryQueue
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.pipeline.errors import Retryable
from sightstream.pipeline.types import Origin
from sightstream.schemas.wire.dead_letter import RecordId, Stage

SETTINGS = WorkerSettings(max_unpublished=100, breaker_failures=2)


def delivery(name: str = "s3://up", is_dependency: bool = True) -> Delivery:
    return Delivery(RecordId("t", 0, 0), None, b"", [], origin=Origin(name, "s3", is_dependency, server=name))


class FakeFlow:
    """Holds requests back that wait for slow servers, as many as a test says."""

    def __init__(self) -> None:
        self.waiting: dict[str, int] = {}

    def held_back(self, server: str | None = None) -> int:
        return sum(self.waiting.values()) if server is None else self.waiting.get(server, 0)


class Harness:
    """A retry queue and what admits to it; counts what a stream of records becomes."""

    def __init__(self, max_unpublished: int = 100) -> None:
        settings = SETTINGS.model_copy(update={"max_unpublished": max_unpublished})
        self.queue = RetryQueue(settings, lambda: 100.0, Random(1))
        self.flow = FakeFlow()
        self.control = AdmissionControl(settings, self.queue, cast(RequestFlow, self.flow))

    def fail(self, name: str, is_dependency: bool = True) -> None:
        one = delivery(name, is_dependency)
        one.attempts += 1
        self.queue.add(one, Retryable(Stage.FETCH, "down", name if is_dependency else None))

    def admit(self, name: str, has_spare_metadata: bool = True) -> Admission:
        one = delivery(name)
        admission = self.control.decide(one, has_spare_metadata)
        if admission is Admission.WAIT:
            self.queue.wait(one, name)
        return admission

    def fill(self, name: str) -> int:
        """Break a dependency, let its records wait until one is held, and return how many wait."""
        for _ in range(2):
            self.fail(name)
        while self.admit(name) is Admission.WAIT:
            pass
        return self.queue.waiting_for(name)


@pytest.fixture
def harness() -> Harness:
    return Harness()


def test_half_of_a_worker_may_wait_for_one_that_is_down_and_its_next_record_is_held(harness: Harness) -> None:
    assert harness.fill("s3://down") == 50
    assert harness.admit("s3://down") is Admission.HOLD
    assert harness.admit("s3://up") is Admission.SUBMIT


def test_several_that_are_down_leave_a_quarter_to_the_others(harness: Harness) -> None:
    assert [harness.fill(f"s3://down-{number}") for number in range(3)] == [50, 25, 2]
    harness.queue.record_success(delivery("s3://up"), Stage.INFER)
    assert harness.admit("s3://up") is Admission.SUBMIT
    assert harness.admit("s3://never-read") is Admission.HOLD, "it may be down, too"


def test_failing_names_without_end_leave_a_quarter_to_what_is_known_to_work(harness: Harness) -> None:
    harness.queue.record_success(delivery("s3://up"), Stage.INFER)
    number = 0
    while harness.admit(f"s3://made-up-{number}") is Admission.SUBMIT:
        harness.fail(f"s3://made-up-{number}")
        number += 1
    assert number == 75
    assert harness.admit("s3://up") is Admission.SUBMIT


def test_a_foreign_host_that_fails_is_held_in_the_same_way(harness: Harness) -> None:
    for _ in range(50):
        harness.fail("foreign.example", is_dependency=False)
    assert harness.admit("foreign.example") is Admission.HOLD
    assert harness.admit("s3://up") is Admission.SUBMIT


def test_what_waits_for_a_slow_server_counts_like_what_waits_for_one_that_is_down(harness: Harness) -> None:
    harness.flow.waiting["s3://slow"] = 49
    assert harness.admit("s3://slow") is Admission.SUBMIT
    harness.flow.waiting["s3://slow"] = 50
    assert harness.admit("s3://slow") is Admission.HOLD
    assert harness.fill("s3://down") == 25
    harness.queue.record_success(delivery("s3://up"), Stage.INFER)
    assert harness.admit("s3://up") is Admission.SUBMIT


@pytest.mark.parametrize("max_unpublished", [1, 2, 3])
def test_one_is_always_let_in_so_that_the_dependency_is_probed(max_unpublished: int) -> None:
    harness = Harness(max_unpublished)
    for _ in range(2):
        harness.fail("s3://down")
    harness.queue.discard({entry.delivery for heap in harness.queue._waiting.values() for entry in heap})
    assert harness.admit("s3://down", has_spare_metadata=False) is Admission.WAIT
    assert harness.admit("s3://down", has_spare_metadata=False) is Admission.HOLD


def test_no_more_wait_in_a_partition_whose_metadata_has_grown(harness: Harness) -> None:
    for _ in range(2):
        harness.fail("s3://down")
    assert harness.admit("s3://down", has_spare_metadata=False) is Admission.HOLD
    assert harness.admit("s3://up", has_spare_metadata=False) is Admission.SUBMIT
