"""http:// and https://, safe against server-side request forgery.

Each hop is resolved once, judged, and dialled at a very address that was judged. Proxy variables are ignored,
cookies and credentials are neither kept nor sent, compressed bodies are refused, and the whole exchange, redirects
included, has one time limit.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse, IncompleteRead

from pipeline.errors import PipelineError
from pipeline.fetch.connection import Connection
from pipeline.fetch.connections import Connections, Route
from pipeline.fetch.dial import Dialler, Network
from pipeline.fetch.host_rules import HostRules
from pipeline.fetch.http_answer import check_answer
from pipeline.fetch.lanes import Lanes
from pipeline.fetch.place import Place, read_place, redirected
from pipeline.fetch.refusals import check_size, rejected
from pipeline.fetch.resolver import Resolver
from pipeline.fetch.settings import FetchSettings
from pipeline.fetch.source import Body, strong_etag
from pipeline.fetch.time_limit import TimeLimit
from pipeline.fetch.trouble import Transient, Trouble
from pipeline.types import Unchanged
from schemas.dead_letter import Reason
from schemas.request import ImageRef
from schemas.uri import origin

CHUNK = 256 * 1024
_REDIRECTS = {301, 302, 303, 307, 308}
_NOT_MODIFIED = 304
_HEADERS = {"Accept": "image/*, */*;q=0.1", "Accept-Encoding": "identity", "User-Agent": "sightstream"}


class HttpSource:
    """Thread safe."""

    kind = "http"

    def __init__(
        self,
        settings: FetchSettings,
        clock: Callable[[], float] = time.monotonic,
        network: Network = Network(),  # noqa: B008 - functions, frozen
    ) -> None:
        self._settings = settings
        self._rules = HostRules(settings)
        self._lanes = Lanes(self.kind, settings, clock)
        self._resolver = Resolver(settings, clock, network.getaddrinfo)
        self._connections = Connections(settings, clock)
        self._dialler = Dialler(settings, self._connections, clock, network)

    def dependency(self, image: ImageRef) -> str | None:
        try:
            return origin(image.uri) if self._rules.lists(read_place(image.uri).host) else None
        except PipelineError:
            return None

    def read(self, image: ImageRef, known_etag: str | None, limit: TimeLimit) -> Body | Unchanged:
        place = read_place(image.uri)
        for hop in range(self._settings.max_redirects + 1):
            # An etag is good for one address: with redirects on the way, it could be that of another one.
            found = self._hop(place, strong_etag(known_etag) if hop == 0 else None, limit)
            if isinstance(found, Place):
                self._rules.check_redirect(place, found)
                place = found
            elif isinstance(found, Body) and hop > 0:
                return Body(found.data)
            else:
                return found
        raise rejected(Reason.FETCH_REFUSED, f"more than {self._settings.max_redirects} redirects")

    def _hop(self, place: Place, etag: str | None, limit: TimeLimit) -> Body | Unchanged | Place:
        self._rules.check(place)
        given = self._settings
        most = given.listed_concurrency if self._rules.lists(place.host) else given.host_concurrency
        with self._lanes.place(place.host, most, limit):
            route, connection, response = self._ask(place, etag, limit)
            try:
                found = self._answer(place, etag, response)
            except BaseException:
                connection.close()
                raise
            self._keep(route, connection, response)
            return found

    def _answer(self, place: Place, etag: str | None, response: HTTPResponse) -> Body | Unchanged | Place:
        if response.status in _REDIRECTS:
            return redirected(place, response.headers.get("location"))
        if response.status == _NOT_MODIFIED and etag is not None:
            return Unchanged()
        check_answer(response, self._settings.max_bytes)
        return Body(self._body(response), strong_etag(response.headers.get("etag")))

    def _ask(self, place: Place, etag: str | None, limit: TimeLimit) -> tuple[Route, Connection, HTTPResponse]:
        addresses = self._resolver.addresses(place.host, place.port, limit)
        headers = _HEADERS if etag is None else _HEADERS | {"If-None-Match": etag}
        idle = self._dialler.reuse(place, addresses)
        try:
            if idle is not None:
                try:
                    return *idle, _ask(idle[1], place, headers, limit)
                except (ConnectionError, ssl.SSLEOFError):
                    pass  # the host had closed it in the meantime: once more, on a fresh one
            route, connection = self._dialler.dial(place, addresses, limit)
            return route, connection, _ask(connection, place, headers, limit)
        except ssl.SSLCertVerificationError as error:
            raise self._untrusted(place) from error
        except TimeoutError as error:
            raise Transient(Trouble.SLOW, "the host did not answer in time") from error
        except OSError as error:
            raise Transient(Trouble.BROKEN, f"the host can't be reached: {type(error).__name__}") from error
        except (HTTPException, ValueError) as error:
            raise rejected(Reason.FETCH_REFUSED, f"the host does not speak HTTP: {type(error).__name__}") from error

    def _untrusted(self, place: Place) -> PipelineError:
        said = "the host's certificate is not valid"
        if self._rules.lists(place.host):
            return Transient(Trouble.UNTRUSTED, said)
        return rejected(Reason.FETCH_REFUSED, said)

    def _body(self, response: HTTPResponse) -> bytes:
        try:
            if response.length is not None:
                return response.read()
            data = bytearray()
            while chunk := response.read1(CHUNK):
                data += chunk
                check_size(len(data), self._settings.max_bytes)
            return bytes(data)
        except TimeoutError as error:
            raise Transient(Trouble.SLOW, "the body did not come in time") from error
        except IncompleteRead as error:
            raise Transient(Trouble.BROKEN, "the body broke off early") from error
        except (OSError, HTTPException, ValueError) as error:
            raise Transient(Trouble.BROKEN, f"the body broke off: {type(error).__name__}") from error

    def _keep(self, route: Route, connection: Connection, response: HTTPResponse) -> None:
        """For the next fetch, if nothing of this answer is left on the way."""
        if response.length == 0:
            response.read()
        if response.isclosed() and not response.will_close:
            self._connections.give_back(route, connection)
        else:
            connection.close()


def _ask(connection: Connection, place: Place, headers: dict[str, str], limit: TimeLimit) -> HTTPResponse:
    try:
        return connection.ask(place, headers, limit)
    except BaseException:
        connection.close()
        raise
