"""Shows what the worker holds and what its time costs."""

from __future__ import annotations

from collections.abc import Callable

from sightstream.consumers.metrics import COST, IN_FLIGHT, IN_FLIGHT_BYTES, RECORD_BYTES
from sightstream.consumers.worker.assignment import Assignment
from sightstream.consumers.worker.request_flow import RequestFlow
from sightstream.consumers.worker.retry_queue import RetryQueue
from sightstream.pipeline.metrics import QUEUED

INTERVAL_S = 0.5  # counting costs more than a turn of the loop


class LoadMetrics:
    """Used by the thread that owns the consumer."""

    def __init__(
        self,
        assignment: Assignment,
        flow: RequestFlow,
        retry_queue: RetryQueue,
        price_per_hour: float,
        clock: Callable[[], float],
    ) -> None:
        self._assignment, self._flow, self._retry_queue = assignment, flow, retry_queue
        self._price_per_s, self._clock = price_per_hour / 3600, clock
        self._updated_at = clock()
        self._fetch, self._retry, self._commit = map(QUEUED.labels, ("fetch", "retry", "commit"))

    def update(self) -> None:
        """Show how things stand, at most every INTERVAL_S."""
        now = self._clock()
        if (elapsed_s := now - self._updated_at) < INTERVAL_S:
            return
        self._updated_at = now
        COST.inc(elapsed_s * self._price_per_s)
        unpublished = self._assignment.unpublished
        IN_FLIGHT.set(unpublished)
        IN_FLIGHT_BYTES.set(self._flow.held_bytes)
        RECORD_BYTES.set(self._assignment.held_bytes)
        self._fetch.set(self._flow.queued)
        self._retry.set(len(self._retry_queue))
        self._commit.set(unpublished - self._assignment.unfinished)
