"""Sends one GET over a kept connection or a new one to a vetted address, and maps network errors to fetch errors."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import certifi

from sightstream.pipeline.errors import PipelineError
from sightstream.pipeline.fetch.deadline import Deadline
from sightstream.pipeline.fetch.errors import FailureKind, TransientError, rejected
from sightstream.pipeline.fetch.http.connection import Connection, ConnectionPool, Response, Route
from sightstream.pipeline.fetch.http.resolver import GetAddrInfo
from sightstream.pipeline.fetch.http.url import HttpUrl
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.schemas.wire.dead_letter import Reason

_HEADERS = {"Accept": "image/*, */*;q=0.1", "Accept-Encoding": "identity", "User-Agent": "sightstream"}


Connect = Callable[[tuple[str, int], float], socket.socket]


@dataclass(frozen=True, slots=True)
class Network:
    """The functions that reach outside this process; tests pass their own. `tls` defaults to certifi's authorities."""

    getaddrinfo: GetAddrInfo = socket.getaddrinfo
    connect: Connect = socket.create_connection
    tls: ssl.SSLContext | None = None


class HttpClient:
    """Sends GET requests. Thread safe. A bad certificate of a host that `is_listed` counts as misconfigured."""

    def __init__(
        self,
        settings: FetchSettings,
        clock: Callable[[], float],
        network: Network,
        is_listed: Callable[[str], bool],
    ) -> None:
        self._pool = ConnectionPool(settings, clock)
        self._connector = Connector(settings, self._pool, clock, network)
        self._is_listed = is_listed

    @contextmanager
    def get(self, url: HttpUrl, addresses: Sequence[str], etag: str | None, deadline: Deadline) -> Iterator[Response]:
        """Yield the response with its body unread. All of it ends at `deadline`. Raises TransientError or Rejected."""
        route, connection, response = self._request(url, addresses, etag, deadline)
        try:
            yield response
        except BaseException:
            connection.close()
            raise
        else:
            self._release(route, connection, response)
        finally:
            response.close()

    def _request(
        self, url: HttpUrl, addresses: Sequence[str], etag: str | None, deadline: Deadline
    ) -> tuple[Route, Connection, Response]:
        headers = _HEADERS if etag is None else _HEADERS | {"If-None-Match": etag}
        try:
            reused = self._request_reusing(url, addresses, headers, deadline)
            if reused is not None:
                return reused
            route, connection = self._connector.connect(url, addresses, deadline)
            return route, connection, _request(connection, url, headers, deadline)
        except ssl.SSLCertVerificationError as error:
            raise self._certificate_error(url) from error
        except TimeoutError as error:
            raise TransientError(FailureKind.SLOW, "the host did not answer in time") from error
        except OSError as error:
            detail = f"the host can't be reached: {type(error).__name__}"
            raise TransientError(FailureKind.BROKEN, detail) from error

    def _request_reusing(
        self, url: HttpUrl, addresses: Sequence[str], headers: dict[str, str], deadline: Deadline
    ) -> tuple[Route, Connection, Response] | None:
        """Send over a kept connection; None where there is none, or the host has closed it meanwhile."""
        kept = self._connector.reuse(url, addresses)
        if kept is None:
            return None
        try:
            return *kept, _request(kept[1], url, headers, deadline)
        except (ConnectionError, ssl.SSLEOFError):
            return None

    def _certificate_error(self, url: HttpUrl) -> PipelineError:
        detail = "the host's certificate is not valid"
        if self._is_listed(url.host):
            return TransientError(FailureKind.MISCONFIGURED, detail)
        return rejected(Reason.FETCH_REFUSED, detail)

    def _release(self, route: Route, connection: Connection, response: Response) -> None:
        """Keep the connection for the next fetch if the response was read to its end, else close it."""
        if response.is_keepable:
            self._pool.release(route, connection)
        else:
            connection.close()


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
        return Route(url.scheme, url.host, url.port, address), Connection(stream, self._clock)


def _request(connection: Connection, url: HttpUrl, headers: dict[str, str], deadline: Deadline) -> Response:
    try:
        return connection.request(url, headers, deadline)
    except BaseException:
        connection.close()
        raise
