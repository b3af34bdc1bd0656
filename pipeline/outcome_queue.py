"""The outcomes that wait for the caller of the flow, and the error that ends the flow."""

from __future__ import annotations

import logging
import queue
import threading

from sightstream.pipeline.errors import Fatal
from sightstream.pipeline.internal_errors import without_message
from sightstream.pipeline.types import Outcome

log = logging.getLogger(__name__)


class OutcomeQueue:
    """Thread safe; only `collect` blocks."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Outcome | Fatal] = queue.SimpleQueue()

    def put(self, outcome: Outcome | Fatal) -> None:
        """Queue an outcome, or what every `collect` raises once the outcomes before it are collected."""
        self._queue.put(outcome)

    def fail(self, error: Exception) -> None:
        """Handle an unexpected error in a thread that must never exit: log it and make the pipeline fatal."""
        log.error("the thread %s failed: %s", threading.current_thread().name, without_message(error))
        self.put(Fatal(f"the flow failed: {type(error).__name__}"))

    def collect(self, timeout_s: float) -> list[Outcome]:
        """Return what came since the last call; block at most `timeout_s` while nothing has. Raises Fatal."""
        outcomes: list[Outcome] = []
        try:
            while True:
                outcome = self._queue.get(timeout=0 if outcomes else timeout_s)
                if isinstance(outcome, Fatal):
                    self._queue.put(outcome)  # every later call raises it, too
                    if outcomes:
                        return outcomes
                    raise outcome
                outcomes.append(outcome)
        except queue.Empty:
            return outcomes
