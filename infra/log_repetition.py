"""Limits repetition in the log: an outage or a flood of bad images must not fill a disk with one sentence."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from sightstream.schemas.connections.client_log import SUFFIX

WINDOW_S = 60.0
MAX_LINES = 10
MAX_REMEMBERED = 1024

Key = tuple[str, int, str]


@dataclass(slots=True)
class _Window:
    """The lines made from one text in code since `began_s`, and how many were left out since the last that passed."""

    began_s: float
    lines: set[str] = field(default_factory=set)
    left_out: int = 0


class RepetitionLimit(logging.Filter):
    """Passes the same line once in WINDOW_S, and MAX_LINES lines of one text in the code. Thread safe.

    The next line that passes says how many were left out, as `repeated`. Lines for debugging all pass. The same words
    about another request are another line.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[Key, _Window] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno <= logging.DEBUG or record.name.endswith(SUFFIX):  # the latter have a filter of their own
            return True
        line = f"{structlog.contextvars.get_contextvars().get('request_id')} {record.getMessage()}"
        with self._lock:
            window = self._window((record.name, record.levelno, str(record.msg)))
            if line in window.lines or len(window.lines) >= MAX_LINES:
                window.left_out += 1
                return False
            window.lines.add(line)
            left_out, window.left_out = window.left_out, 0
        if left_out:
            record.repeated = left_out
        return True

    def _window(self, key: Key) -> _Window:
        now = self._clock()
        window = self._windows.get(key)
        if window is None:
            if len(self._windows) >= MAX_REMEMBERED:
                self._windows.clear()
            window = self._windows[key] = _Window(now)
        elif now >= window.began_s + WINDOW_S:
            window.began_s = now
            window.lines.clear()
        return window
