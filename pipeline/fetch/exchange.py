"""One HTTP request and its answer, over a connection that may have served before and may serve again."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse, IncompleteRead

from sightstream.pipeline.errors import PipelineError
from sightstream.pipeline.fetch.connection import Connection
from sightstream.pipeline.fetch.connections import Connections, Route
from sightstream.pipeline.fetch.dial import Dialler, Network
from sightstream.pipeline.fetch.place import Place
from sightstream.pipeline.fetch.refusals import check_size, rejected
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.fetch.time_limit import TimeLimit
from sightstream.pipeline.fetch.trouble import Transient, Trouble
from sightstream.schemas.wire.dead_letter import Reason

CHUNK = 256 * 1024
_HEADERS = {"Accept": "image/*, */*;q=0.1", "Accept-Encoding": "identity", "User-Agent": "sightstream"}


class Exchanges:
    """Thread safe. `relied_on` tells the hosts whose bad certificate somebody here has to mend."""

    def __init__(
        self,
        settings: FetchSettings,
        clock: Callable[[], float],
        network: Network,
        relied_on: Callable[[str], bool],
    ) -> None:
        self._connections = Connections(settings, clock)
        self._dialler = Dialler(settings, self._connections, clock, network)
        self._relied_on = relied_on

    @contextmanager
    def get(self, place: Place, addresses: Sequence[str], etag: str | None, limit: TimeLimit) -> Iterator[HTTPResponse]:
        """The answer's head, its body still to be read; all of it within `limit`. Raises Transient or Rejected."""
        route, connection, response = self._ask(place, addresses, etag, limit)
        try:
            yield response
        except BaseException:
            connection.close()
            raise
        self._keep(route, connection, response)

    def _ask(
        self, place: Place, addresses: Sequence[str], etag: str | None, limit: TimeLimit
    ) -> tuple[Route, Connection, HTTPResponse]:
        headers = _HEADERS if etag is None else _HEADERS | {"If-None-Match": etag}
        try:
            kept = self._ask_kept(place, addresses, headers, limit)
            if kept is not None:
                return kept
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

    def _ask_kept(
        self, place: Place, addresses: Sequence[str], headers: dict[str, str], limit: TimeLimit
    ) -> tuple[Route, Connection, HTTPResponse] | None:
        """Over a connection that was used before; None where there is none, or the host has closed it meanwhile."""
        kept = self._dialler.reuse(place, addresses)
        if kept is None:
            return None
        try:
            return *kept, _ask(kept[1], place, headers, limit)
        except (ConnectionError, ssl.SSLEOFError):
            return None

    def _untrusted(self, place: Place) -> PipelineError:
        said = "the host's certificate is not valid"
        if self._relied_on(place.host):
            return Transient(Trouble.UNTRUSTED, said)
        return rejected(Reason.FETCH_REFUSED, said)

    def _keep(self, route: Route, connection: Connection, response: HTTPResponse) -> None:
        """For the next fetch, if nothing of this answer is left on the way."""
        if response.length == 0:
            response.read()
        if response.isclosed() and not response.will_close:
            self._connections.give_back(route, connection)
        else:
            connection.close()


def read_body(response: HTTPResponse, max_bytes: int) -> bytes:
    """All of it. Raises Transient when it breaks off, Rejected when it is more than `max_bytes`."""
    try:
        if response.length is not None:
            return response.read()
        data = bytearray()
        while chunk := response.read1(CHUNK):
            data += chunk
            check_size(len(data), max_bytes)
        return bytes(data)
    except TimeoutError as error:
        raise Transient(Trouble.SLOW, "the body did not come in time") from error
    except IncompleteRead as error:
        raise Transient(Trouble.BROKEN, "the body broke off early") from error
    except (OSError, HTTPException, ValueError) as error:
        raise Transient(Trouble.BROKEN, f"the body broke off: {type(error).__name__}") from error


def _ask(connection: Connection, place: Place, headers: dict[str, str], limit: TimeLimit) -> HTTPResponse:
    try:
        return connection.ask(place, headers, limit)
    except BaseException:
        connection.close()
        raise
