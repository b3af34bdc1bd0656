"""http:// and https://, safe against server-side request forgery.

Each hop is resolved once, judged, and dialled at the very address that was judged. Proxy variables are ignored,
cookies are not kept, compressed bodies are refused, and the whole exchange, redirects included, has one deadline.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import quote, urljoin, urlsplit

import certifi

from pipeline.errors import Retryable
from pipeline.fetch.address import resolve
from pipeline.fetch.deadline import Deadline
from pipeline.fetch.refusals import check_size, rejected
from pipeline.fetch.settings import FetchSettings
from schemas.dead_letter import Reason, Stage
from schemas.request import ImageRef
from schemas.uri import origin

CHUNK = 256 * 1024
_REDIRECTS = {301, 302, 303, 307, 308}
_TRANSIENT = {408, 425, 429}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_KEPT_IN_A_TARGET = "%/:=&?~#+!$,;'@()*[]"


@dataclass(frozen=True, slots=True)
class _Place:
    """An address that may be asked. `target` is path and query, `authority` the Host header."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


class HttpSource:
    """Thread safe. One connection an image."""

    def __init__(self, settings: FetchSettings) -> None:
        self._settings = settings
        self._tls = ssl.create_default_context(cafile=certifi.where())

    def dependency(self, image: ImageRef) -> str | None:
        host = origin(image.uri)
        return host if host in self._settings.allowed_hosts else None

    def open(self, image: ImageRef) -> Iterator[bytes]:
        uri = image.uri
        with Deadline(self._settings.total_timeout_s) as deadline:
            for _ in range(self._settings.max_redirects + 1):
                response = self._get(self._judge(uri), deadline)
                if response.status not in _REDIRECTS:
                    yield from self._body(response)
                    if deadline.over:
                        raise Retryable(Stage.FETCH, f"not read within {self._settings.total_timeout_s} s")
                    return
                uri = urljoin(uri, response.headers.get("location", ""))
        raise rejected(Reason.FETCH_REFUSED, f"more than {self._settings.max_redirects} redirects")

    def _judge(self, uri: str) -> _Place:
        """Raises Rejected for an address that two parsers could read differently, or that may not be asked."""
        try:
            parts = urlsplit(uri)
            host = (parts.hostname or "").encode("idna").decode()
            port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
        except ValueError:
            raise rejected(Reason.UNSUPPORTED_URI, "the address can't be read") from None
        if parts.scheme not in _DEFAULT_PORTS or not host or "\\" in uri or " " in uri or parts.username is not None:
            raise rejected(Reason.UNSUPPORTED_URI, "write http(s)://host/path, without user info or backslashes")
        if self._settings.allowed_hosts and host not in self._settings.allowed_hosts:
            raise rejected(Reason.FORBIDDEN_LOCATION, "the host is not among the allowed ones")
        if port not in self._settings.allowed_ports:
            raise rejected(Reason.FORBIDDEN_LOCATION, f"port {port} is not among the allowed ones")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return _Place(parts.scheme, host, port, quote(target, safe=_KEPT_IN_A_TARGET))

    def _get(self, place: _Place, deadline: Deadline) -> HTTPResponse:
        address = resolve(place.host, place.port, self._settings.allow_private_addresses)
        headers = {"Host": place.authority, "Accept": "image/*", "Accept-Encoding": "identity", "Connection": "close"}
        connection = HTTPConnection(place.host, place.port)
        try:
            connection.sock = self._dial(place, address, deadline)
            connection.request("GET", place.target, headers=headers)
            return connection.getresponse()
        except (OSError, HTTPException) as error:
            connection.close()
            raise Retryable(Stage.FETCH, f"the host can't be reached: {type(error).__name__}") from error

    def _dial(self, place: _Place, address: str, deadline: Deadline) -> socket.socket:
        timeout_s = min(self._settings.connect_timeout_s, deadline.left_s())
        connection = deadline.watch(socket.create_connection((address, place.port), timeout_s))
        connection.settimeout(self._settings.total_timeout_s)
        if place.scheme == "http":
            return connection
        return self._tls.wrap_socket(connection, server_hostname=place.host)

    def _body(self, response: HTTPResponse) -> Iterator[bytes]:
        with response:
            self._check(response)
            try:
                while chunk := response.read1(CHUNK):
                    yield chunk
            except (OSError, HTTPException) as error:
                raise Retryable(Stage.FETCH, f"the body broke off: {type(error).__name__}") from error
            if response.length:
                raise Retryable(Stage.FETCH, f"the body broke off {response.length} bytes early")

    def _check(self, response: HTTPResponse) -> None:
        status = response.status
        if status in _TRANSIENT or status >= 500:
            raise Retryable(Stage.FETCH, f"the host answered {status}")
        if status in (404, 410):
            raise rejected(Reason.IMAGE_NOT_FOUND, f"the host answered {status}")
        if status in (401, 403):
            raise rejected(Reason.ACCESS_DENIED, f"the host answered {status}")
        if status != 200:
            raise rejected(Reason.FETCH_REFUSED, f"the host answered {status}")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise rejected(Reason.FETCH_REFUSED, "the host sent a compressed body that was not asked for")
        check_size(response.length or 0, self._settings.max_bytes)
