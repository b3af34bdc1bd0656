"""Connections that are kept for reuse: by scheme, host, port and the very address that was judged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sightstream.pipeline.fetch.connection import Connection
from sightstream.pipeline.fetch.settings import FetchSettings


@dataclass(frozen=True, slots=True)
class Route:
    """Where a connection leads. Another address is another route, whatever its host is called."""

    scheme: str
    host: str
    port: int
    address: str


class Connections:
    """Thread safe. A connection that is handed out is the caller's until it comes back or is closed."""

    def __init__(self, settings: FetchSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._idle: list[tuple[Route, Connection]] = []  # the one used last stands last

    def take(self, route: Route) -> Connection | None:
        """An open connection that was used before, or None."""
        while (connection := self._pop(route)) is not None:
            if self._young(connection) and connection.clean():
                return connection
            connection.close()
        return None

    def give_back(self, route: Route, connection: Connection) -> None:
        """After an answer that was read to its end."""
        connection.used = self._clock()
        with self._lock:
            self._idle.append((route, connection))
            surplus = self._surplus()
        for old in surplus:
            old.close()

    def close(self) -> None:
        """Closes what is idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    def _pop(self, route: Route) -> Connection | None:
        with self._lock:
            for at in range(len(self._idle) - 1, -1, -1):
                if self._idle[at][0] == route:
                    return self._idle.pop(at)[1]
        return None

    def _surplus(self) -> list[Connection]:
        """Takes out what is too old or too much, oldest first."""
        young = [entry for entry in self._idle if self._young(entry[1])]
        keep = young[max(0, len(young) - self._settings.max_idle_connections) :]
        kept = {id(connection) for _, connection in keep}
        surplus = [connection for _, connection in self._idle if id(connection) not in kept]
        self._idle = keep
        return surplus

    def _young(self, connection: Connection) -> bool:
        now = self._clock()
        idle_s, age_s = now - connection.used, now - connection.born
        return idle_s < self._settings.idle_connection_s and age_s < self._settings.connection_age_s
