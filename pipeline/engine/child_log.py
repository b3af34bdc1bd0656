"""Hands the log of the engine's process to the worker, which writes it in its own form and within its limits."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

MAX_WAITING = 1000


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that was logged in the engine's process."""

    logger: str
    level: int
    text: str


class LogForwarder(logging.Handler):
    """Keeps what any thread logs until `flush_to` is called, MAX_WAITING lines at most."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: queue.Queue[LogLine] = queue.Queue(MAX_WAITING)
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(queue.Full):  # nobody has come for minutes: the line is lost, and not the process
            self._lines.put_nowait(LogLine(record.name, record.levelno, self.format(record)))

    def flush_to(self, send: Callable[[LogLine], None]) -> None:
        """Send what has been logged. Call it on the thread that owns the pipe."""
        while not self._lines.empty():
            send(self._lines.get_nowait())


def write(line: LogLine) -> None:
    """Log the line here, as if it had been logged here."""
    logging.getLogger(line.logger).log(line.level, "%s", line.text)
