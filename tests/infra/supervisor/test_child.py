"""When a worker that dies is started again, by a clock that is handed in."""

from __future__ import annotations

import sys
from functools import partial

from sightstream.infra.supervisor.child import Backoff, Child
from sightstream.infra.supervisor.programs import WorkerProgram
from tests.consumers.waiting import wait_for


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def has(lines: list[bytes], count: int) -> bool:
    return len(lines) == count


def starts(child: Child, clock: Clock, lines: list[bytes], pauses: list[float], works_s: float = 0) -> None:
    """Let it die, and see that it starts again after each pause and not sooner."""
    for pause_s in pauses:
        count = len(lines) + 1
        child.supervise()
        wait_for(partial(has, lines, count))
        clock.now += works_s
        child.wait(30)
        child.supervise()
        clock.now += pause_s - 0.01
        child.supervise()
        assert len(lines) == count
        clock.now += 0.02


def make(exit_code: int) -> tuple[Child, Clock, list[bytes]]:
    lines, clock = list[bytes](), Clock()
    program = WorkerProgram("w", [sys.executable, "-I", "-c", f"print(); raise SystemExit({exit_code})"], {})
    return Child(program, Backoff(first_s=1, most_s=4, healthy_s=60), clock, lines.append), clock, lines


def test_pauses_double_up_to_the_longest() -> None:
    child, clock, lines = make(exit_code=1)
    starts(child, clock, lines, [1, 2, 4, 4])


def test_after_a_long_life_pauses_begin_anew() -> None:
    child, clock, lines = make(exit_code=1)
    starts(child, clock, lines, [1, 1, 1], works_s=61)


def test_a_worker_that_leaves_in_order_is_not_started_again() -> None:
    child, clock, lines = make(exit_code=0)
    child.supervise()
    child.wait(30)
    child.supervise()
    clock.now += 1000
    child.supervise()
    assert child.has_left
    assert len(lines) == 1
