"""HTTP/1.1 connections and the pool that keeps idle ones. Reads and writes end at the deadline of their fetch.

A connection is kept by scheme, host, port and the very address that was vetted.
"""

from __future__ import annotations

import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import TYPE_CHECKING, cast

from sightstream.pipeline.fetch.deadline import Deadline
from sightstream.pipeline.fetch.errors import FailureKind, TransientError
from sightstream.pipeline.fetch.http.url import HttpUrl
from sightstream.pipeline.fetch.settings import FetchSettings

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER_BYTES = 64 * 1024

MIN_BYTES_PER_S = 8 * 1024
PACE_WINDOW_S = 10.0


class _Pace:
    """Ends a body that comes too slowly: it holds a thread, which others could use, for next to nothing."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._window_started, self._window_bytes = clock(), 0

    def remaining_s(self) -> float:
        """Return the time until the window ends, more than zero. Raises TransientError when too little came in it."""
        remaining_s = self._window_started + PACE_WINDOW_S - self._clock()
        if remaining_s > 0:
            return remaining_s
        if self._window_bytes < MIN_BYTES_PER_S * PACE_WINDOW_S:
            raise TransientError(
                FailureKind.CRAWLING, f"the body comes at less than {MIN_BYTES_PER_S} bytes per second"
            )
        self._window_started, self._window_bytes = self._clock(), 0
        return PACE_WINDOW_S

    def add(self, count: int) -> None:
        self._window_bytes += count


class _SocketReader(io.RawIOBase):
    """Reads a socket until the deadline, and while the body keeps its pace.

    A slow-drip server never trips a per-read socket timeout, so each read gets what is left of the total.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.deadline: Deadline | None = None  # None: return the bytes that have arrived, without waiting
        self.pace: _Pace | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        try:
            while True:
                try:
                    return self._receive(buffer)
                except TimeoutError:
                    if self.deadline is None or self.pace is None:
                        raise
                    self.deadline.remaining_s()
        except (BlockingIOError, ssl.SSLWantReadError):
            return None

    def _receive(self, buffer: WriteableBuffer) -> int:
        timeout_s = self.deadline.remaining_s() if self.deadline else 0.0
        if self.pace is not None:
            timeout_s = min(timeout_s, self.pace.remaining_s())
        self._connection.settimeout(timeout_s)
        count = self._connection.recv_into(buffer)
        if self.pace is not None:
            self.pace.add(count)
        return count


class _UnclosedReader(io.BufferedReader):
    """Ignores `close`: http.client closes its reader after each response, but the connection is kept."""

    def close(self) -> None:
        pass


class Connection:
    """A connection to one host at one vetted address. Used by one thread at a time."""

    def __init__(self, stream: socket.socket, clock: Callable[[], float]) -> None:
        self._stream, self._clock = stream, clock
        self._incoming = _SocketReader(stream)
        self._reader = _UnclosedReader(self._incoming, _BUFFER_BYTES)
        self.opened_at = self.last_used_at = clock()

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the reader. http.client calls this, as it would call a socket's."""
        return self._reader

    def request(self, url: HttpUrl, headers: Mapping[str, str], deadline: Deadline) -> HTTPResponse:
        """Send a GET and return the response with its body unread.

        Raises OSError, HTTPException, ValueError or TransientError.
        """
        lines = [f"GET {url.target} HTTP/1.1", f"Host: {url.authority}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._incoming.deadline, self._incoming.pace = deadline, None
        self._stream.settimeout(deadline.remaining_s())
        self._stream.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        response = HTTPResponse(cast(socket.socket, self), method="GET")  # of a socket it calls only makefile
        response.begin()
        self._incoming.pace = _Pace(self._clock)
        return response

    def is_reusable(self) -> bool:
        """Return whether it is open and holds no unread bytes. Never blocks."""
        self._incoming.deadline = self._incoming.pace = None
        try:
            if self._reader.peek(1):
                return False
            return self._incoming.readinto(bytearray(1)) is None
        except (OSError, ValueError):
            return False

    def close(self) -> None:
        self._stream.close()


@dataclass(frozen=True, slots=True)
class Route:
    """The endpoint of a connection. Another address is another route, whatever its host is called."""

    scheme: str
    host: str
    port: int
    address: str


class ConnectionPool:
    """Keeps idle connections. Thread safe. A connection belongs to its user from `acquire` to `release` or `close`."""

    def __init__(self, settings: FetchSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._idle: list[tuple[Route, Connection]] = []  # sorted by last use, the latest at the end

    def acquire(self, route: Route) -> Connection | None:
        """Return an open connection that was used before, or None."""
        while (connection := self._pop(route)) is not None:
            if self._is_young(connection) and connection.is_reusable():
                return connection
            connection.close()
        return None

    def release(self, route: Route, connection: Connection) -> None:
        """Keep a connection whose last response was read to its end."""
        connection.last_used_at = self._clock()
        with self._lock:
            self._idle.append((route, connection))
            surplus = self._remove_surplus()
        for old in surplus:
            old.close()

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    def _pop(self, route: Route) -> Connection | None:
        with self._lock:
            for index in range(len(self._idle) - 1, -1, -1):
                if self._idle[index][0] == route:
                    return self._idle.pop(index)[1]
        return None

    def _remove_surplus(self) -> list[Connection]:
        """Remove and return the connections that are too old or too many, oldest first."""
        young = [entry for entry in self._idle if self._is_young(entry[1])]
        keep = young[max(0, len(young) - self._settings.max_idle_connections) :]
        kept = {id(connection) for _, connection in keep}
        surplus = [connection for _, connection in self._idle if id(connection) not in kept]
        self._idle = keep
        return surplus

    def _is_young(self, connection: Connection) -> bool:
        now = self._clock()
        idle_s, age_s = now - connection.last_used_at, now - connection.opened_at
        return idle_s < self._settings.idle_connection_s and age_s < self._settings.connection_age_s
