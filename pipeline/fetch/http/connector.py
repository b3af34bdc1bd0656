"""Connections to vetted addresses: idle ones are kept for reuse, new ones get TLS for https.

A connection is kept by scheme, host, port and the very address that was vetted.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import certifi

from sightstream.pipeline.fetch.deadline import Deadline
from sightstream.pipeline.fetch.http.connection import Connection
from sightstream.pipeline.fetch.http.resolver import GetAddrInfo
from sightstream.pipeline.fetch.http.url import HttpUrl
from sightstream.pipeline.fetch.settings import FetchSettings

Connect = Callable[[tuple[str, int], float], socket.socket]


@dataclass(frozen=True, slots=True)
class Network:
    """The functions that reach outside this process; tests pass their own. `tls` defaults to certifi's authorities."""

    getaddrinfo: GetAddrInfo = socket.getaddrinfo
    connect: Connect = socket.create_connection
    tls: ssl.SSLContext | None = None


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


class Connector:
    """Gives a connection to one of the vetted addresses of a host: a kept or a new one. Thread safe."""

    def __init__(
        self,
        settings: FetchSettings,
        pool: ConnectionPool,
        clock: Callable[[], float],
        network: Network,
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._clock = clock
        self._connect = network.connect
        self._tls = network.tls or ssl.create_default_context(cafile=certifi.where())

    def reuse(self, url: HttpUrl, addresses: Sequence[str]) -> tuple[Route, Connection] | None:
        """Return an idle connection to one of `addresses`, or None."""
        for address in addresses:
            route = Route(url.scheme, url.host, url.port, address)
            if (connection := self._pool.acquire(route)) is not None:
                return route, connection
        return None

    def connect(self, url: HttpUrl, addresses: Sequence[str], deadline: Deadline) -> tuple[Route, Connection]:
        """Connect to the first address that answers. Raises the last one's OSError; TransientError at the deadline."""
        *others, last = addresses
        for address in others:
            with contextlib.suppress(OSError):
                return self._connect_to(url, address, deadline)
        return self._connect_to(url, last, deadline)

    def _connect_to(self, url: HttpUrl, address: str, deadline: Deadline) -> tuple[Route, Connection]:
        timeout_s = min(self._settings.connect_timeout_s, deadline.remaining_s())
        stream = self._connect((address, url.port), timeout_s)
        try:
            if url.scheme == "https":
                stream.settimeout(min(self._settings.connect_timeout_s, deadline.remaining_s()))
                stream = self._tls.wrap_socket(stream, server_hostname=url.host)
        except BaseException:
            stream.close()
            raise
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Route(url.scheme, url.host, url.port, address), Connection(stream, self._clock())
