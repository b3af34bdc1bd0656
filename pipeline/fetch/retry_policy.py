"""A few short retries within one fetch; the worker retries later, after these."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from random import Random
from typing import TypeVar

from sightstream.pipeline.fetch.deadline import Deadline
from sightstream.pipeline.fetch.errors import BusyError, TransientError
from sightstream.pipeline.fetch.settings import FetchSettings

T = TypeVar("T")


class RetryPolicy:
    """Retries with exponential backoff and full jitter. Thread safe."""

    def __init__(
        self, settings: FetchSettings, sleep: Callable[[float], None] = time.sleep, random: Random | None = None
    ) -> None:
        self._settings = settings
        self._sleep = sleep
        self._random = random or Random()  # noqa: S311 - spreads load, guards nothing

    def call(self, attempt: Callable[[], T], deadline: Deadline) -> T:
        """Call `attempt` until it returns. Raises its last TransientError, and any other error at once.

        Raises BusyError only if no attempt was made at all.
        """
        last: TransientError | None = None
        for attempts in count(1):
            try:
                return attempt()
            except BusyError:
                if last is None:
                    raise
                raise last from None
            except TransientError as error:
                last = error
                pause_s = self._pause_s(error, attempts)
                if pause_s is None or not deadline.allows(pause_s):
                    raise
                self._sleep(pause_s)
        raise AssertionError("count() never ends")

    def _pause_s(self, error: TransientError, attempts: int) -> float | None:
        """Return the pause before the next attempt; None when there must be no other."""
        asked_s = error.retry_after_s or 0.0
        settings = self._settings
        if not error.retryable or attempts > settings.max_retries or asked_s > settings.max_retry_after_s:
            return None
        longest_s = min(settings.max_backoff_s, settings.backoff_s * 2 ** (attempts - 1))
        return asked_s + self._random.uniform(0, longest_s)
