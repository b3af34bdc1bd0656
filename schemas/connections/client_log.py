"""The logger that a Kafka client is given, so that librdkafka writes no line past our log's format and escaping.

librdkafka hands its lines over while the client is polled: poll a long-lived client now and then, also when idle.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable

SUFFIX = ".librdkafka"
REPEAT_AFTER_S = 60.0
MAX_REMEMBERED = 256
# What differs between two lines about the same trouble: client numbers and durations.
_VARYING = re.compile(r"#\w+-\d+|[\d.]+m?s\b")
# All that the clients of a process say while a broker is away, each about each of its connections.
_AWAY = re.compile(r"Connect to |Connection refused|Disconnected|timed out|timeout|brokers are down|Failed to resolve")


class RepeatFilter(logging.Filter):
    """Passes a line at most every REPEAT_AFTER_S: while a broker is away, librdkafka says so twenty times a second.

    That is one line for all clients that share this filter, however they word it. `repeated` of a record is how many
    were left out since the last one that passed.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._passed: dict[str, float] = {}
        self._left_out: Counter[str] = Counter()
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        text, now = record.getMessage(), self._clock()
        text = "away" if _AWAY.search(text) else _VARYING.sub("", text)
        with self._lock:
            if now < self._passed.get(text, float("-inf")) + REPEAT_AFTER_S:
                self._left_out[text] += 1
                return False
            if len(self._passed) >= MAX_REMEMBERED:
                self._passed.clear()
                self._left_out.clear()
            self._passed[text] = now
            left_out = self._left_out.pop(text, 0)
        if left_out:
            record.repeated = left_out
        return True


_SHARED = RepeatFilter()


def client_logger(owner: str) -> logging.Logger:
    """Return the logger for the Kafka clients of the module `owner`; the same one at every call."""
    logger = logging.getLogger(owner + SUFFIX)
    logger.addFilter(_SHARED)  # adding it again changes nothing
    return logger
