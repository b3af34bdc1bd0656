"""Decides what happens to a new record while others wait: work on it, let it wait, or leave it where it is.

One place that is down or slow must not hold the others. Of `max_unpublished`, requests that wait for one dependency or
host may use half, and all that wait together three quarters; the last quarter is for origins from which images were
read before. Beyond that a record is held: it is not entered into its partition's ledger, and the partition pauses
until there is capacity for it. Nothing is held for a dependency for which nothing waits, so one is always probed.
"""

from __future__ import annotations

from enum import Enum, auto

from sightstream.consumers.worker.delivery import Delivery
from sightstream.consumers.worker.request_flow import RequestFlow
from sightstream.consumers.worker.retry_queue import RetryQueue
from sightstream.consumers.worker.settings import WorkerSettings


class Admission(Enum):
    """What to do with a new record. HOLD leaves it the next one of its partition."""

    SUBMIT = auto()
    WAIT = auto()
    HOLD = auto()


class AdmissionControl:
    """Not thread safe."""

    def __init__(self, settings: WorkerSettings, retry_queue: RetryQueue, flow: RequestFlow) -> None:
        self._retry_queue, self._flow = retry_queue, flow
        self._max_for_one = max(1, settings.max_unpublished // 2)
        self._max_for_all = max(1, settings.max_unpublished * 3 // 4)

    def decide(self, delivery: Delivery, has_spare_metadata: bool) -> Admission:
        """Decide about a record. `has_spare_metadata`: its partition's offset metadata may grow by what waits."""
        blocker = self._retry_queue.breakers.blocking(delivery)
        name = blocker or (delivery.origin.name if delivery.origin else "")
        waiting = self._retry_queue.waiting_for(name)
        if blocker is None and delivery.origin is not None:
            waiting += self._flow.held_back(delivery.origin.server)
        if waiting and (self._is_full(waiting) or (blocker is not None and not has_spare_metadata)):
            return Admission.HOLD
        if blocker is not None:
            return Admission.WAIT
        return Admission.SUBMIT if self._is_open_to(name) else Admission.HOLD

    def _is_full(self, waiting: int) -> bool:
        return waiting >= self._max_for_one or self._all_waiting >= self._max_for_all

    @property
    def _all_waiting(self) -> int:
        return len(self._retry_queue) + self._flow.held_back()

    def _is_open_to(self, origin: str) -> bool:
        """Return whether a record may start; once most capacity waits, only one whose origin is known to answer."""
        few_wait = self._all_waiting < self._max_for_all
        return few_wait or self._retry_queue.breakers.last_read(origin) is not None
