"""A connection to a judged address; for https, TLS with the name of the host."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import certifi

from sightstream.pipeline.fetch.address import GetAddresses
from sightstream.pipeline.fetch.connection import Connection
from sightstream.pipeline.fetch.connections import Connections, Route
from sightstream.pipeline.fetch.place import Place
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.fetch.time_limit import TimeLimit

Connect = Callable[[tuple[str, int], float], socket.socket]


@dataclass(frozen=True, slots=True)
class Network:
    """What lies outside this process; tests hand in their own. Without `tls`, the well-known authorities vouch."""

    getaddrinfo: GetAddresses = socket.getaddrinfo
    connect: Connect = socket.create_connection
    tls: ssl.SSLContext | None = None


class Dialler:
    """Thread safe. Reuses a connection where there is one to one of the addresses."""

    def __init__(
        self,
        settings: FetchSettings,
        connections: Connections,
        clock: Callable[[], float],
        network: Network,
    ) -> None:
        self._settings = settings
        self._connections = connections
        self._clock = clock
        self._connect = network.connect
        self._tls = network.tls or ssl.create_default_context(cafile=certifi.where())

    def reuse(self, place: Place, addresses: Sequence[str]) -> tuple[Route, Connection] | None:
        """A connection that lay idle."""
        for address in addresses:
            route = Route(place.scheme, place.host, place.port, address)
            if (connection := self._connections.take(route)) is not None:
                return route, connection
        return None

    def dial(self, place: Place, addresses: Sequence[str], limit: TimeLimit) -> tuple[Route, Connection]:
        """A fresh one to the first address that answers. Raises OSError of the last, or Transient out of time."""
        *others, last = addresses
        for address in others:
            with contextlib.suppress(OSError):
                return self._dial(place, address, limit)
        return self._dial(place, last, limit)

    def _dial(self, place: Place, address: str, limit: TimeLimit) -> tuple[Route, Connection]:
        timeout_s = min(self._settings.connect_timeout_s, limit.left_s())
        stream = self._connect((address, place.port), timeout_s)
        try:
            if place.scheme == "https":
                stream.settimeout(min(self._settings.connect_timeout_s, limit.left_s()))
                stream = self._tls.wrap_socket(stream, server_hostname=place.host)
        except BaseException:
            stream.close()
            raise
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Route(place.scheme, place.host, place.port, address), Connection(stream, self._clock())
