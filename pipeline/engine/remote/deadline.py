"""Bounds a whole exchange: a server that sends a byte now and then never exceeds a socket's own timeout."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType


class Deadline:
    """A context manager that shuts down every watched connection after `seconds`, whatever its state."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._watched: list[socket.socket] = []
        self._over = False
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._lock:
            for watched in self._watched:
                watched.close()
            self._watched.clear()

    @property
    def over(self) -> bool:
        """Return whether time is over; data read since then may be incomplete without an error."""
        return self._over

    def left_s(self) -> float:
        """Return the seconds left, always a little more than 0."""
        return max(0.001, self._end - time.monotonic())

    def watch(self, connection: socket.socket) -> socket.socket:
        """Watch a connection and return it; a copy of its descriptor stays valid when TLS replaces the socket."""
        with self._lock:
            self._watched.append(connection.dup())
        if self._over:
            self._shut()
        return connection

    def _shut(self) -> None:
        self._over = True
        with self._lock:
            for watched in self._watched:
                with contextlib.suppress(OSError):
                    watched.shutdown(socket.SHUT_RDWR)
