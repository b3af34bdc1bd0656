"""The source for http:// and https://.

Each URL, redirects included, is resolved once; its addresses are vetted, and the connection goes to a vetted address.
Proxy variables are ignored, cookies and credentials are neither kept nor sent, compressed bodies are refused, and all
hops together have one deadline.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sightstream.pipeline.errors import PipelineError, Rejected
from sightstream.pipeline.fetch.answered import AnsweredOrigins
from sightstream.pipeline.fetch.deadline import Deadline
from sightstream.pipeline.fetch.errors import FailureKind, TransientError, rejected
from sightstream.pipeline.fetch.http.access_rules import AccessRules
from sightstream.pipeline.fetch.http.client import HttpClient, Network
from sightstream.pipeline.fetch.http.connection import Response
from sightstream.pipeline.fetch.http.resolver import NoSuchHost, Resolver
from sightstream.pipeline.fetch.http.response import check_response, read_body
from sightstream.pipeline.fetch.http.url import HttpUrl, parse_http_url, resolve_redirect
from sightstream.pipeline.fetch.image_source import NO_ORIGIN, Body, strong_etag
from sightstream.pipeline.fetch.limiter import ConcurrencyLimiter, Limiters
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.stages import NO_SERVER, Server
from sightstream.pipeline.types import NotModified, Origin
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.request import ImageRef

FOREIGN = "foreign hosts"  # no setting names them, so publishers choose how many there are
_REDIRECTS = {301, 302, 303, 307, 308}
_NOT_MODIFIED = 304


class HttpSource:
    """Reads images over HTTP. Thread safe."""

    kind = "http"

    def __init__(
        self,
        settings: FetchSettings,
        clock: Callable[[], float] = time.monotonic,
        network: Network = Network(),  # noqa: B008 - functions, frozen
    ) -> None:
        self._settings = settings
        self._rules = AccessRules(settings)
        self._limiters = Limiters(self.kind, settings)
        self._resolver = Resolver(settings, clock, network.getaddrinfo)
        self._client = HttpClient(settings, clock, network, self._rules.is_listed)
        self._answered = AnsweredOrigins()

    def origin(self, image: ImageRef) -> Origin:
        try:
            host = parse_http_url(image.uri).host
        except PipelineError:
            return NO_ORIGIN
        pattern = self._rules.pattern(host)
        return Origin(host, pattern or "other", is_dependency=pattern is not None, server=host)

    def server(self, image: ImageRef) -> Server:
        try:
            return self._limiter(parse_http_url(image.uri).host)
        except PipelineError:
            return NO_SERVER

    def _limiter(self, host: str) -> ConcurrencyLimiter:
        is_listed, settings = self._rules.is_listed(host), self._settings
        maximum = settings.listed_concurrency if is_listed else settings.host_concurrency
        return self._limiters.get(host, maximum, None if is_listed else FOREIGN)

    def read(self, image: ImageRef, known_etag: str | None, deadline: Deadline) -> Body | NotModified:
        url = parse_http_url(image.uri)
        for hop in range(self._settings.max_redirects + 1):
            # An etag belongs to one URL: after a redirect it could be that of another one.
            result = self._get(url, strong_etag(known_etag) if hop == 0 else None, deadline)
            if isinstance(result, HttpUrl):
                self._rules.check_redirect(url, result)
                url = result
            elif isinstance(result, Body) and hop > 0:
                return Body(result.data)
            else:
                return result
        raise rejected(Reason.FETCH_REFUSED, f"more than {self._settings.max_redirects} redirects")

    def _get(self, url: HttpUrl, etag: str | None, deadline: Deadline) -> Body | NotModified | HttpUrl:
        """Send one GET. Returns the next URL where the host redirects."""
        self._rules.check(url)
        try:
            result = self._send(url, etag, deadline)
        except Rejected as error:
            raise self._or_outage(url.host, error) from None
        self._answered.add(url.host)
        return result

    def _or_outage(self, host: str, error: Rejected) -> PipelineError:
        """Return `error`, or the outage that it probably is: that of a host which this worker relies on.

        It relies on a host that the settings name, or that answered before. A name that only fits a pattern, or none,
        may be a publisher's typing error: its requests end at once.
        """
        known = self._rules.is_named(host) or host in self._answered
        if known and isinstance(error, NoSuchHost):
            return TransientError(FailureKind.BROKEN, str(error))
        if known and error.reason is Reason.ACCESS_DENIED and self._rules.is_listed(host):
            return TransientError(FailureKind.DENIED, str(error), otherwise=error)
        return error

    def _send(self, url: HttpUrl, etag: str | None, deadline: Deadline) -> Body | NotModified | HttpUrl:
        with self._limiters.limit(self._limiter(url.host)):
            addresses = self._resolver.addresses(url.host, url.port, deadline)
            with self._client.get(url, addresses, etag, deadline) as response:
                return self._result(url, etag, response)

    def _result(self, url: HttpUrl, etag: str | None, response: Response) -> Body | NotModified | HttpUrl:
        if response.status in _REDIRECTS:
            return resolve_redirect(url, response.headers.only("location"))
        if response.status == _NOT_MODIFIED and etag is not None:
            return NotModified()
        check_response(response, self._settings.max_bytes)
        return Body(read_body(response, self._settings.max_bytes), strong_etag(response.headers.get("etag")))
