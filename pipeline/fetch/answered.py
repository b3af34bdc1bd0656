"""Remembers where images were read before: what fails there now may be an outage, and elsewhere a misspelt address."""

from __future__ import annotations

import threading
from collections import OrderedDict

MAX_ORIGINS = 4096


class AnsweredOrigins:
    """The buckets or hosts that images were read from, the latest MAX_ORIGINS of them. Thread safe.

    Bounded, because publishers choose the names. One that is forgotten counts as unknown: its failures are taken for
    its images' own. Whoever must not depend on that lists the name in the settings.
    """

    def __init__(self) -> None:
        self._names: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def add(self, name: str) -> None:
        """Remember that an image was read from there just now."""
        with self._lock:
            self._names[name] = None
            self._names.move_to_end(name)
            if len(self._names) > MAX_ORIGINS:
                self._names.popitem(last=False)
