"""A lane for each store and host, made when first asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from sightstream.pipeline.fetch.lane import Lane
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.fetch.time_limit import TimeLimit
from sightstream.pipeline.fetch.trouble import Transient
from sightstream.pipeline.fetch.window import Window
from sightstream.pipeline.metrics import FETCH_LIMIT

MAX_LANES = 1024


class Lanes:
    """Of one kind of place. Thread safe; forgets the idle ones that were not used for longest beyond MAX_LANES."""

    def __init__(self, kind: str, settings: FetchSettings) -> None:
        self._settings = settings
        self._shown = FETCH_LIMIT.labels(kind)
        self._lock = threading.Lock()
        self._lanes: OrderedDict[str, Lane] = OrderedDict()

    @contextmanager
    def place(self, name: str, most: int, limit: TimeLimit) -> Iterator[None]:
        """A place among at most `most` at `name`; blocks for it, and learns from how the block within ends."""
        lane = self._lane(name, most)
        began = lane.enter(limit)
        trouble: Transient | None = None
        try:
            yield
        except Transient as error:
            trouble = error
            raise
        finally:
            self._left(lane, began, trouble)

    def _left(self, lane: Lane, began: int, trouble: Transient | None) -> None:
        before = lane.limit
        lane.leave(began, trouble)
        if trouble is not None and lane.down:
            trouble.again = False
        if lane.limit != before:
            self._show()

    def _lane(self, name: str, most: int) -> Lane:
        with self._lock:
            known = self._lanes.pop(name, None)
            if known is None and len(self._lanes) >= MAX_LANES:
                self._forget_one()
            lane = self._lanes[name] = known or self._new(most)
        if known is None:
            self._show()
        return lane

    def _new(self, most: int) -> Lane:
        given = self._settings
        return Lane(Window(given.start_concurrency, most, given.slow_down_factor), given.down_after_failures)

    def _forget_one(self) -> None:
        oldest = next((name for name, lane in self._lanes.items() if lane.idle), None)
        if oldest is not None:
            del self._lanes[oldest]

    def _show(self) -> None:
        with self._lock:
            self._shown.set(min((lane.limit for lane in self._lanes.values()), default=0))
