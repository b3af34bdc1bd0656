"""An engine that never lacks work, and the moments at which its answers end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.engine.feed import Feed
from sightstream.infra.lab.bench.engine.options import Allowance
from sightstream.infra.lab.bench.engine.window import Ended
from sightstream.pipeline.engine.protocol import Engine
from sightstream.pipeline.errors import Cancelled
from sightstream.pipeline.types import Completion, FinishedJob

WAIT_S = 0.01
SAY_EVERY_S = 5.0
DRAIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Saturated:
    """`starved_fraction` is the share of time, once the engine had been full, in which it held less than it can use."""

    ended: list[Ended]
    starved_fraction: float


def in_hand(capacity: int) -> int:
    """Return how many jobs an engine should hold: those that it works on, and some that wait."""
    return capacity + max(2, capacity // 4)


class Saturator:
    """Keeps an engine full: `in_hand` jobs of the feed's are in its hands.

    `steps` tells how many decoding steps the engine has made; `watch` is told how many answers have ended.
    """

    def __init__(
        self,
        engine: Engine,
        feed: Feed,
        clock: Callable[[], float] = time.monotonic,
        steps: Callable[[], int] = lambda: 0,
        say: Callable[[str], None] = lambda _: None,
        watch: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._engine, self._feed = engine, feed
        self._clock, self._steps, self._say, self._watch = clock, steps, say, watch
        self._capacity = engine.capacity()
        self._target = in_hand(self._capacity)
        self._held: set[int] = set()
        self._fullness = _Fullness()
        self._said = clock()

    def run(self, answers: int, allowance: Allowance) -> Saturated:
        """Until `answers` have ended or time is over; then what is left is cancelled and waited for."""
        ended: list[Ended] = []
        try:
            while len(ended) < answers and not allowance.over:
                self._top_up()
                found = self._engine.finished(WAIT_S)
                at, steps = self._clock(), self._steps()
                ended += [Ended(at, self._read(one), steps) for one in found]
                self._watch(len(ended))
                self._show(len(ended), answers, at)
        finally:
            self._feed.stop()
            self._drain()
        return Saturated(ended, self._fullness.starved_fraction)

    def _top_up(self) -> None:
        while len(self._held) < self._target and (job := self._feed.ready()) is not None:
            self._held.add(job.id)
            self._engine.submit(job)
        self._fullness.record(self._clock(), full=len(self._held) >= self._capacity)

    def _read(self, finished: FinishedJob) -> int:
        """The answer's tokens."""
        self._release(finished)
        outcome = finished.outcome
        if not isinstance(outcome, Completion):
            raise CommandError(f"the engine did not answer: {outcome}")
        return outcome.completion_tokens

    def _release(self, finished: FinishedJob) -> None:
        self._held.remove(finished.id)
        self._feed.ended(finished.id)

    def _drain(self) -> None:
        for job_id in self._held:
            self._engine.cancel(job_id)
        until = self._clock() + DRAIN_S
        while self._held and self._clock() < until:
            for finished in self._engine.finished(WAIT_S):
                self._release(finished)
                if not isinstance(finished.outcome, Completion | Cancelled):
                    raise CommandError(f"the engine did not answer: {finished.outcome}")

    def _show(self, done: int, wanted: int, at: float) -> None:
        if at - self._said >= SAY_EVERY_S:
            self._said = at
            self._say(f"{done} of {wanted} answers, {len(self._held)} in hand")


@dataclass(slots=True)
class _Fullness:
    """Adds up the time in which an engine lacked work."""

    began: float | None = None
    last: float = 0.0
    was_full: bool = True
    starved_s: float = 0.0

    def record(self, at: float, *, full: bool) -> None:
        if self.began is None:
            if not full:
                return
            self.began = self.last = at
        if not self.was_full:
            self.starved_s += at - self.last
        self.last, self.was_full = at, full

    @property
    def starved_fraction(self) -> float:
        """1 for an engine that never was full."""
        if self.began is None:
            return 1.0
        return self.starved_s / (self.last - self.began) if self.last > self.began else 0.0
