"""A few short retries within one fetch; the worker's own come after them."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from random import Random
from typing import TypeVar

from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.fetch.time_limit import TimeLimit
from sightstream.pipeline.fetch.trouble import Transient

Result = TypeVar("Result")


class Retries:
    """Exponential backoff with full jitter. Thread safe."""

    def __init__(
        self, settings: FetchSettings, sleep: Callable[[float], None] = time.sleep, random: Random | None = None
    ) -> None:
        self._settings = settings
        self._sleep = sleep
        self._random = random or Random()  # noqa: S311 - spreads load, guards nothing

    def call(self, attempt: Callable[[], Result], limit: TimeLimit) -> Result:
        """Calls `attempt` until it gives something, raises anything but Transient, or trying again is in vain."""
        for tries in count(1):
            try:
                return attempt()
            except Transient as error:
                pause = self._pause_s(error, tries)
                if pause is None or not limit.leaves(pause):
                    raise
                self._sleep(pause)
        raise AssertionError("count() never ends")

    def _pause_s(self, error: Transient, tries: int) -> float | None:
        asked = error.retry_after_s or 0.0
        if not error.again or tries > self._settings.max_retries or asked > self._settings.max_retry_after_s:
            return None
        longest = min(self._settings.max_backoff_s, self._settings.backoff_s * 2 ** (tries - 1))
        return asked + self._random.uniform(0, longest)
