"""The logger that a Kafka client is given, so that librdkafka writes no line past our log's format and escaping.

librdkafka hands its lines over while the client is polled: poll a long-lived client now and then, also when idle.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable

REPEAT_AFTER_S = 60.0
MAX_REMEMBERED = 256
# What differs between two lines about the same trouble: client numbers and durations.
_VARYING = re.compile(r"#\w+-\d+|\d+ms")


class RepeatFilter(logging.Filter):
    """Passes a line at most every REPEAT_AFTER_S: while a broker is down, librdkafka says so ten times a second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._passed: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        text, now = _VARYING.sub("", record.getMessage()), self._clock()
        if now < self._passed.get(text, float("-inf")) + REPEAT_AFTER_S:
            return False
        if len(self._passed) >= MAX_REMEMBERED:
            self._passed.clear()
        self._passed[text] = now
        return True


def client_logger(owner: str) -> logging.Logger:
    """Return the logger for the Kafka clients of the module `owner`; the same one at every call."""
    logger = logging.getLogger(f"{owner}.librdkafka")
    if not logger.filters:
        logger.addFilter(RepeatFilter())
    return logger
