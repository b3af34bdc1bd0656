"""HTTP/1.1 connections and the pool that keeps idle ones. Reads and writes end at the deadline of their fetch.

A connection is kept by scheme, host, port and the very address that was vetted.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sightstream.pipeline.fetch.deadline import Deadline
from sightstream.pipeline.fetch.errors import FailureKind, TransientError
from sightstream.pipeline.fetch.http.parser import Headers, ResponseParser
from sightstream.pipeline.fetch.http.url import HttpUrl
from sightstream.pipeline.fetch.settings import FetchSettings

_BUFFER_BYTES = 128 * 1024

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


class Response:
    """The answer to one GET. Each read ends at the deadline; the body must also keep its pace."""

    def __init__(self, connection: Connection, deadline: Deadline) -> None:
        self._connection, self._deadline = connection, deadline
        self._parser = ResponseParser()

    @property
    def status(self) -> int:
        return self._parser.status

    @property
    def headers(self) -> Headers:
        return self._parser.headers

    @property
    def is_keepable(self) -> bool:
        """Whether the connection can serve another request."""
        return self._parser.is_keepable

    def read_head(self) -> None:
        """Read until the headers are complete. Raises OSError, TransientError or Rejected, as `read_body` does."""
        while not self._parser.has_head:
            self._read(None)

    def read_body(self, check: Callable[[int], None]) -> bytes:
        """Read the whole body; `check` gets its size after each read, and may raise."""
        pace = _Pace(self._connection.clock)
        check(self._parser.body_bytes)
        while not self._parser.is_complete:
            self._read(pace)
            check(self._parser.body_bytes)
        return self._parser.body()

    def close(self) -> None:
        """Free what was read. The connection stays as it is."""
        self._parser.close()

    def _read(self, pace: _Pace | None) -> None:
        data = self._connection.receive(self._deadline, pace)
        if data:
            self._parser.feed(data)
        else:
            self._parser.finish()


class Connection:
    """A connection to one host at one vetted address. Used by one thread at a time."""

    def __init__(self, stream: socket.socket, clock: Callable[[], float]) -> None:
        self._stream, self.clock = stream, clock
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self.opened_at = self.last_used_at = clock()

    def request(self, url: HttpUrl, headers: Mapping[str, str], deadline: Deadline) -> Response:
        """Send a GET and return the response with its body unread. Raises OSError, TransientError or Rejected."""
        lines = [f"GET {url.target} HTTP/1.1", f"Host: {url.authority}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._stream.settimeout(deadline.remaining_s())
        self._stream.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        response = Response(self, deadline)
        try:
            response.read_head()
        except BaseException:
            response.close()
            raise
        return response

    def receive(self, deadline: Deadline, pace: _Pace | None) -> memoryview:
        """Wait for the next bytes and return them; none at the end. They are valid until the next call.

        A slow-drip server never trips a timeout of each read, so each gets what is left of the total.
        """
        while True:
            timeout_s = deadline.remaining_s() if pace is None else min(deadline.remaining_s(), pace.remaining_s())
            self._stream.settimeout(timeout_s)
            try:
                count = self._stream.recv_into(self._buffer)
            except TimeoutError:
                continue  # the deadline or the pace ends it
            if pace is not None:
                pace.add(count)
            return self._buffer[:count]

    def is_reusable(self) -> bool:
        """Return whether it is open and holds no unread bytes. Never blocks."""
        try:
            self._stream.settimeout(0)
            self._stream.recv_into(self._buffer, 1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except (OSError, ValueError):
            pass
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
