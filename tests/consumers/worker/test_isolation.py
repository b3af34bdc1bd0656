"""A machine whose worker dies again and again: the image that does it is found, and no other is blamed."""

from __future__ import annotations

import os
from collections.abc import Hashable
from collections.abc import Set as AbstractSet
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from sightstream.consumers.worker.delivery import Delivery
from sightstream.consumers.worker.isolation import MAX_DEATHS_ALONE, Isolation
from sightstream.pipeline.errors import Cancelled, PipelineError, Rejected, Retryable
from sightstream.pipeline.in_flight import CLOCKS
from sightstream.pipeline.known_good import known_good_request, known_good_result
from sightstream.pipeline.types import NO_ANSWERS, FinishedAnswers, Origin, Outcome
from sightstream.schemas.wire.dead_letter import Reason, RecordId, Stage
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.result_v2 import AnyResult
from tests.consumers.worker.state_files import journal_at

CAPACITY = 16
WORK_S = 0.4
STEP_S = 0.1
REQUEST = known_good_request(CLOCKS)
RESULT = known_good_result(CLOCKS)


class Died(Exception):
    """The whole worker was killed."""


class FakeFlow:
    """Ends each request after WORK_S; a request in `poison` kills the worker instead."""

    held_bytes = queued = 0

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.running: dict[Delivery, float] = {}
        self.checks: dict[Hashable, float] = {}
        self.finished: dict[Hashable, FinishedAnswers] = {}

    @property
    def free_capacity(self) -> int:
        return CAPACITY - len(self.running)

    def held_back(self, server: str | None = None) -> int:
        return 0

    def submit(self, ticket: Hashable, request: ImageRequest, finished: FinishedAnswers = NO_ANSWERS) -> None:
        assert isinstance(ticket, Delivery)
        self.running[ticket] = self.machine.now + WORK_S
        self.finished[ticket] = finished

    def submit_health_check(self, ticket: Hashable) -> None:
        self.checks[ticket] = self.machine.now + WORK_S

    def origin(self, request: ImageRequest) -> Origin:
        raise AssertionError("not needed here")

    def collect(self, timeout_s: float) -> list[Outcome]:
        checked = [ticket for ticket, at in self.checks.items() if at <= self.machine.now]
        if checked and self.machine.is_broken:
            raise Died
        for ticket in checked:
            del self.checks[ticket]
        return self._collect() + [Outcome(ticket, self.machine.check_outcome) for ticket in checked]

    def _collect(self) -> list[Outcome]:
        due = [delivery for delivery, at in self.running.items() if at <= self.machine.now]
        if any(delivery.record_id.offset in self.machine.poison for delivery in due):
            raise Died
        for delivery in due:
            del self.running[delivery]
        return [Outcome(delivery, self.machine.outcome) for delivery in due]

    def cancel(self, tickets: set[Hashable]) -> None:
        for delivery in [delivery for delivery in self.running if delivery in tickets]:
            del self.running[delivery]
            self.machine.ended.append(Outcome(delivery, Cancelled("cancelled")))


class Machine:
    """Starts a worker again whenever it died, as a supervisor does; `answers` is what a reader has seen."""

    def __init__(self, folder: Path, poison: AbstractSet[int] = frozenset(), count: int = 40) -> None:
        self.path = folder / "worker.journal"
        self.poison, self.count = poison, count
        self.now = 0.0
        self.answers: dict[int, AnyResult | PipelineError] = {}
        self.outcome: AnyResult | PipelineError = RESULT
        self.check_outcome: AnyResult | PipelineError = RESULT
        self.is_broken = False
        self.ended: list[Outcome] = []
        self.deaths = 0
        self.most_together: list[int] = []

    def live(self, kill_at: float = float("inf"), max_s: float = 300) -> None:
        """Run one process until all is answered, it dies, or somebody kills it at `kill_at`."""
        started, journal = self.now, journal_at(self.path)
        flow = FakeFlow(self)
        isolation = Isolation(flow, journal, lambda: self.now)
        left = [offset for offset in range(self.count) if offset not in self.answers]
        try:
            while len(self.answers) < self.count and self.now - started < max_s:
                while left and isolation.free_capacity > 0:
                    isolation.submit(Delivery(RecordId("t", 0, left.pop(0)), None, None, []), REQUEST)
                for outcome in isolation.collect(0):
                    assert isinstance(outcome.ticket, Delivery)
                    self.answers[outcome.ticket.record_id.offset] = outcome.result
                self.now += STEP_S
                if self.now >= kill_at:
                    raise Died
            journal.close()
        except Died:
            self.deaths += 1
            self.most_together.append(len(flow.running))
            os.close(journal._descriptor)

    @property
    def blamed(self) -> set[int]:
        found = {offset: result for offset, result in self.answers.items() if isinstance(result, Rejected)}
        assert {result.reason for result in found.values()} <= {Reason.WORKER_CRASH}
        return set(found)


def test_an_image_that_kills_the_worker_is_rejected_after_it_did_so_alone_three_times(tmp_path: Path) -> None:
    machine = Machine(tmp_path, poison={7})
    for _ in range(20):
        machine.live()
    assert machine.blamed == {7}
    assert len(machine.answers) == 40
    assert machine.most_together[-MAX_DEATHS_ALONE:] == [1] * MAX_DEATHS_ALONE
    assert machine.deaths <= 8
    rejected = machine.answers[7]
    assert isinstance(rejected, Rejected)
    assert (rejected.stage, "died 3 times while it worked on this image alone" in str(rejected)) == (Stage.TAKE, True)


def test_two_such_images_are_both_found(tmp_path: Path) -> None:
    machine = Machine(tmp_path, poison={3, 30})
    for _ in range(30):
        machine.live()
    assert (machine.blamed, len(machine.answers)) == ({3, 30}, 40)


def test_one_death_changes_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.live(kill_at=0.3)
    machine.live(kill_at=0.6)
    assert machine.most_together == [CAPACITY, CAPACITY]


def test_what_a_dead_worker_had_is_counted_once_as_repeated(tmp_path: Path) -> None:
    machine, before = Machine(tmp_path), repeated()
    machine.live(kill_at=0.3)
    assert repeated() == before
    machine.live()
    assert repeated() == before + CAPACITY


def repeated() -> float:
    return REGISTRY.get_sample_value("sightstream_work_repeated_total", {"cause": "worker_death"}) or 0.0


@given(st.lists(st.floats(0.1, 20), min_size=1, max_size=12), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_a_worker_that_somebody_else_kills_blames_nobody(
    tmp_path_factory: pytest.TempPathFactory, lifetimes: list[float], count: int
) -> None:
    """Kills at any time, in each process. What a reader has seen is answered; the rest begins again."""
    machine = Machine(tmp_path_factory.mktemp("machine"), count=count)
    for lifetime in lifetimes:
        machine.live(kill_at=machine.now + lifetime)
    machine.live()
    assert (machine.blamed, len(machine.answers)) == (set(), count)


@pytest.mark.parametrize("lifetime", [0.3, 0.5, 1.0, 3.0, 6.0, 30.0])
def test_whatever_kills_it_after_a_certain_time_is_not_the_image(lifetime: float, tmp_path: Path) -> None:
    """Nothing is ever answered here: the only image takes longer than the worker lives."""
    machine = Machine(tmp_path, count=1)
    machine.outcome = Retryable(Stage.FETCH, "slow")
    for _ in range(30):
        machine.answers.clear()
        machine.live(kill_at=machine.now + lifetime, max_s=lifetime + 1)
    assert machine.blamed == set()


def test_on_a_machine_where_every_image_kills_it_nobody_is_blamed(tmp_path: Path) -> None:
    machine = Machine(tmp_path, poison=set(range(40)))
    machine.is_broken = True
    for _ in range(60):
        machine.live()
    assert machine.answers == {}


def test_a_lone_image_is_found_by_the_help_of_a_known_good_one(tmp_path: Path) -> None:
    machine = Machine(tmp_path, poison={0}, count=1)
    for _ in range(8):
        machine.live()
    assert machine.blamed == {0}
    assert machine.deaths == 2 + MAX_DEATHS_ALONE


def test_a_known_good_image_that_is_not_answered_blames_nobody(tmp_path: Path) -> None:
    machine = Machine(tmp_path, poison={0}, count=1)
    machine.check_outcome = Rejected(Reason.ENGINE_REFUSED, Stage.INFER, "too small")
    for _ in range(20):
        machine.live()
    assert (machine.answers, machine.deaths) == ({}, 20)


def test_a_lone_suspect_that_is_healthy_is_answered(tmp_path: Path) -> None:
    machine = Machine(tmp_path, count=1)
    for _ in range(2):
        machine.live(kill_at=machine.now + 0.2)
    machine.live()
    assert machine.answers == {0: RESULT}


class Bench:
    """One process with suspects from two deaths, driven step by step."""

    def __init__(self, folder: Path, suspects: list[int]) -> None:
        self.machine = Machine(folder)
        for _ in range(2):
            journal = journal_at(self.machine.path)
            for offset in suspects:
                journal.begin((0, offset))
            os.close(journal._descriptor)
        self.flow = FakeFlow(self.machine)
        self.journal = journal_at(self.machine.path)
        self.isolation = Isolation(self.flow, self.journal, lambda: self.machine.now)

    def submit(self, offset: int, finished: FinishedAnswers = NO_ANSWERS) -> Delivery:
        delivery = Delivery(RecordId("t", 0, offset), None, None, [])
        self.isolation.submit(delivery, REQUEST, finished)
        return delivery

    @property
    def running(self) -> list[int]:
        return sorted(delivery.record_id.offset for delivery in self.flow.running)

    def pass_time(self, seconds: float) -> list[Outcome]:
        self.machine.now += seconds
        return self.isolation.collect(0)


def test_suspects_wait_for_the_others_and_others_for_them(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [1, 2])
    bench.submit(0)
    bench.submit(1)
    bench.submit(2)
    assert (bench.running, bench.isolation.free_capacity) == ([0], 0)
    bench.submit(5)  # a retry that falls due
    bench.pass_time(WORK_S)
    bench.pass_time(0)
    assert (bench.running, bench.isolation.free_capacity) == ([1, 2], 0)
    assert len(bench.pass_time(WORK_S)) == 2
    assert bench.running == [5]
    assert bench.isolation.free_capacity == CAPACITY - 1
    assert bench.journal.deaths == {}


def test_finished_answers_go_along_whenever_a_request_may_run(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [1])
    finished = FinishedAnswers(("0" * 64,), {})
    at_once, suspect, delayed = (bench.submit(offset, finished) for offset in (0, 1, 2))
    for _ in range(10):
        bench.pass_time(WORK_S)
    assert bench.flow.finished == dict.fromkeys((at_once, suspect, delayed), finished)


def test_a_suspect_that_fails_for_now_stays_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [1, 2])
    bench.machine.outcome = Retryable(Stage.FETCH, "503", "s3")
    for offset in (1, 2):
        bench.submit(offset)
    bench.pass_time(0)
    bench.pass_time(WORK_S)
    assert set(bench.journal.deaths) == {(0, 1), (0, 2)}


def test_cancelled_suspects_do_not_start(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [1, 2])
    bench.submit(0)
    waiting: set[Hashable] = {bench.submit(offset) for offset in (1, 2, 5)}
    bench.isolation.cancel(waiting)
    bench.pass_time(WORK_S)
    bench.pass_time(WORK_S)
    assert bench.running == []
    assert bench.isolation.free_capacity == CAPACITY


def test_order_of_events_does_not_matter(tmp_path: Path) -> None:
    """Every request ends once, whatever is poison, whenever somebody kills the worker."""
    for seed in range(20):
        random = Random(seed)
        machine = Machine(tmp_path / str(seed), poison=set(random.sample(range(40), random.randint(0, 2))))
        machine.path.parent.mkdir()
        for _ in range(12):
            machine.live(kill_at=machine.now + random.uniform(0.1, 15))
        for _ in range(20):
            machine.live()
        assert len(machine.answers) == 40, seed
        assert machine.blamed <= machine.poison, seed
