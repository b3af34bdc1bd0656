"""http:// and https://, safe against server-side request forgery.

Each hop is resolved once, judged, and dialled at a very address that was judged. Proxy variables are ignored,
cookies and credentials are neither kept nor sent, compressed bodies are refused, and the whole exchange, redirects
included, has one time limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from http.client import HTTPResponse

from sightstream.pipeline.errors import PipelineError
from sightstream.pipeline.fetch.dial import Network
from sightstream.pipeline.fetch.exchange import Exchanges, read_body
from sightstream.pipeline.fetch.host_rules import HostRules
from sightstream.pipeline.fetch.http_answer import check_answer
from sightstream.pipeline.fetch.lanes import Lanes
from sightstream.pipeline.fetch.place import Place, read_place, redirected
from sightstream.pipeline.fetch.refusals import rejected
from sightstream.pipeline.fetch.resolver import Resolver
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.fetch.source import Body, strong_etag
from sightstream.pipeline.fetch.time_limit import TimeLimit
from sightstream.pipeline.types import NotModified
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.request import ImageRef
from sightstream.schemas.wire.uri import origin

_REDIRECTS = {301, 302, 303, 307, 308}
_NOT_MODIFIED = 304


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
        self._lanes = Lanes(self.kind, settings)
        self._resolver = Resolver(settings, clock, network.getaddrinfo)
        self._exchanges = Exchanges(settings, clock, network, self._rules.lists)

    def dependency(self, image: ImageRef) -> str | None:
        try:
            return origin(image.uri) if self._rules.lists(read_place(image.uri).host) else None
        except PipelineError:
            return None

    def read(self, image: ImageRef, known_etag: str | None, limit: TimeLimit) -> Body | NotModified:
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

    def _hop(self, place: Place, etag: str | None, limit: TimeLimit) -> Body | NotModified | Place:
        self._rules.check(place)
        given = self._settings
        most = given.listed_concurrency if self._rules.lists(place.host) else given.host_concurrency
        with self._lanes.place(place.host, most, limit):
            addresses = self._resolver.addresses(place.host, place.port, limit)
            with self._exchanges.get(place, addresses, etag, limit) as response:
                return self._answer(place, etag, response)

    def _answer(self, place: Place, etag: str | None, response: HTTPResponse) -> Body | NotModified | Place:
        if response.status in _REDIRECTS:
            return redirected(place, response.headers.get("location"))
        if response.status == _NOT_MODIFIED and etag is not None:
            return NotModified()
        check_answer(response, self._settings.max_bytes)
        return Body(read_body(response, self._settings.max_bytes), strong_etag(response.headers.get("etag")))
