"""Keeps a request that kills the whole worker from killing it again and again, and blames no other.

What dies is usually a child, and the flow finds out by itself which image did it. If instead the worker's whole process
group dies, the next process knows only from its journal what was in progress. Most such deaths are nobody's fault
(SIGKILL by a supervisor, the system out of memory), so one death changes nothing. Requests that were in progress at two
deaths in a row are suspects. They run apart from all others, in groups that shrink with each death: 16, 4, 1. One that
ends without a death is a suspect no more.

A request is rejected as `worker_crash` after the worker died three times while it had nothing else in progress, and
each of these deaths counts only if

- the process had answered another request before, or a known-good one, so that this machine and its engine work, and
- the process had lived longer by then than the last one that died so, so that whatever kills it after a certain time is
  not mistaken for the image.

So a healthy image is blamed only if something else happens to kill the worker three times in the few seconds in which
that very image is alone. Nothing is lost and nothing answered twice by any of this: the flow gets each request once, or
not at all and then the request has a dead letter; ledger and transactions are as always.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from sightstream.consumers.worker.delivery import Delivery
from sightstream.consumers.worker.journal import Deaths, Journal, Offset
from sightstream.consumers.worker.request_flow import CheckedFlow
from sightstream.pipeline.errors import Rejected
from sightstream.pipeline.metrics import REPEATED
from sightstream.pipeline.types import NO_ANSWERS, FinishedAnswers, Origin, Outcome
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.result_v2 import AnyResult

log = logging.getLogger(__name__)

SUSPECT_DEATHS = 2
MAX_DEATHS_ALONE = 3
GROUP_SIZES = {2: 16, 3: 4}  # by deaths in company; after more it is one
MAX_UPTIME_S = 60.0
ALIVE_INTERVAL_S = 0.5

_REPEATED = REPEATED.labels("worker_death")


@dataclass(frozen=True, slots=True)
class _Submission:
    delivery: Delivery
    request: ImageRequest
    finished: FinishedAnswers = NO_ANSWERS

    @property
    def at(self) -> Offset:
        return self.delivery.record_id.partition, self.delivery.record_id.offset


class Isolation:
    """A flow that runs suspects apart from all others. Used by the thread that owns the consumer."""

    def __init__(self, flow: CheckedFlow, journal: Journal, clock: Callable[[], float]) -> None:
        self._flow, self._journal, self._clock = flow, journal, clock
        self._started_at = self._alive_at = clock()
        self._running: set[Delivery] = set()
        self._suspects: list[_Submission] = []
        self._delayed: list[_Submission] = []  # submitted while suspects run, or are about to
        self._ended: list[Outcome] = []
        self._apart: set[Delivery] = set()  # the suspects that run now
        self._answered = 0
        self._is_checking = self._has_checked = False

    @property
    def free_capacity(self) -> int:
        """None while suspects run or wait for the others to end."""
        return 0 if self._is_closed else self._flow.free_capacity

    @property
    def held_bytes(self) -> int:
        return self._flow.held_bytes

    @property
    def queued(self) -> int:
        return self._flow.queued + len(self._suspects) + len(self._delayed)

    def held_back(self, server: str | None = None) -> int:
        return self._flow.held_back(server)

    def origin(self, request: ImageRequest) -> Origin:
        return self._flow.origin(request)

    def submit(self, ticket: Hashable, request: ImageRequest, finished: FinishedAnswers = NO_ANSWERS) -> None:
        """Begin a request, or keep it until it may run; `ticket` is a Delivery. Never blocks."""
        assert isinstance(ticket, Delivery)  # noqa: S101
        submission = _Submission(ticket, request, finished)
        deaths = self._deaths(submission)
        if deaths != Deaths() and not ticket.attempts:
            _REPEATED.inc()
        if deaths.alone >= MAX_DEATHS_ALONE:
            self._ended.append(Outcome(ticket, _rejection(deaths)))
        elif deaths.company >= SUSPECT_DEATHS or deaths.alone:
            self._suspects.append(submission)
        elif self._is_closed:
            self._delayed.append(submission)
        else:
            self._begin(submission)

    def collect(self, timeout_s: float) -> list[Outcome]:
        """Return what ended since the last call; see Flow. Raises Fatal."""
        self._start_suspects()
        ended, self._ended = self._ended, []
        for outcome in self._flow.collect(0 if ended else timeout_s):
            self._answered += isinstance(outcome.result, AnyResult)
            if outcome.ticket is self:
                self._is_checking, self._has_checked = False, True
            else:
                self._end(outcome)
                ended.append(outcome)
        self._record_alive()
        if not self._is_closed:
            self._begin_delayed()
        return ended

    def cancel(self, tickets: set[Hashable]) -> None:
        """Drop requests whose outcomes nobody wants any more."""
        self._suspects = [each for each in self._suspects if each.delivery not in tickets]
        self._delayed = [each for each in self._delayed if each.delivery not in tickets]
        self._flow.cancel(tickets)

    @property
    def _is_closed(self) -> bool:
        """Whether suspects run now, or run next."""
        return bool(self._apart or self._is_checking or self._next_group())

    def _begin_delayed(self) -> None:
        delayed, self._delayed = self._delayed, []
        for submission in delayed:
            self._begin(submission)

    def _begin(self, submission: _Submission) -> None:
        self._journal.begin(submission.at)
        self._running.add(submission.delivery)
        self._flow.submit(submission.delivery, submission.request, submission.finished)

    def _end(self, outcome: Outcome) -> None:
        delivery, result = outcome.ticket, outcome.result
        assert isinstance(delivery, Delivery)  # noqa: S101
        at = (delivery.record_id.partition, delivery.record_id.offset)
        self._running.discard(delivery)
        self._apart.discard(delivery)
        self._journal.end(at)
        if isinstance(result, AnyResult | Rejected):
            self._journal.forget(at)

    # --- suspects -----------------------------------------------------------------------------------------

    def _start_suspects(self) -> None:
        """Begin the next group of suspects once nothing else runs; before a single one, a health check."""
        if self._running or self._is_checking or not (group := self._next_group()):
            return
        if len(group) == 1 and not (self._answered or self._has_checked):
            self._is_checking = True
            self._flow.submit_health_check(self)
            return
        for submission in group:
            self._suspects.remove(submission)
            self._apart.add(submission.delivery)
        log.warning("%d requests that were in progress when the worker died run apart from the others", len(group))
        if len(group) > 1:
            for submission in group:
                self._begin(submission)
        else:
            self._begin_alone(group[0])

    def _begin_alone(self, submission: _Submission) -> None:
        self._journal.alive(self._uptime_s)
        self._journal.begin_alone(submission.at, counts=self._answered > 0)
        self._running.add(submission.delivery)
        self._flow.submit(submission.delivery, submission.request, submission.finished)

    def _next_group(self) -> list[_Submission]:
        """Return the suspects to run next, none while it is too early."""
        if not self._suspects or self._apart:
            return []
        size = _group_size(self._deaths(self._suspects[0]))
        group = [each for each in self._suspects if _group_size(self._deaths(each)) == size][:size]
        return group if len(group) > 1 or self._may_run_alone(group[0]) else []

    def _may_run_alone(self, submission: _Submission) -> bool:
        deaths = self._deaths(submission)
        return not deaths.alone or self._uptime_s > min(deaths.uptime_s + 1, MAX_UPTIME_S)

    def _record_alive(self) -> None:
        if len(self._apart) == 1 and self._clock() - self._alive_at >= ALIVE_INTERVAL_S:
            self._alive_at = self._clock()
            self._journal.alive(self._uptime_s)

    @property
    def _uptime_s(self) -> float:
        return self._clock() - self._started_at

    def _deaths(self, submission: _Submission) -> Deaths:
        return self._journal.deaths.get(submission.at, Deaths())


def _group_size(deaths: Deaths) -> int:
    return 1 if deaths.alone else GROUP_SIZES.get(deaths.company, 1)


def _rejection(deaths: Deaths) -> Rejected:
    detail = f"the whole worker died {deaths.alone} times while it worked on this image alone"
    return Rejected(Reason.WORKER_CRASH, Stage.TAKE, detail)
