"""http:// and https://, safe against server-side request forgery.

Each hop is resolved once, judged, and dialled at the very address that was judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import SplitResult, urljoin, urlsplit

import certifi
import urllib3
from urllib3.exceptions import HTTPError

from pipeline.errors import PipelineError, Retryable
from pipeline.fetch.address import resolve
from pipeline.fetch.refusals import check_size, rejected
from pipeline.fetch.settings import FetchSettings
from schemas.dead_letter import Reason, Stage
from schemas.request import ImageRef

CHUNK = 256 * 1024
_REDIRECTS = {301, 302, 303, 307, 308}
_TRANSIENT = {408, 425, 429}
_DEFAULT_PORTS = {"http": 80, "https": 443}


class HttpSource:
    """Thread safe. Proxy variables are ignored, cookies are not kept, compressed bodies are refused."""

    def __init__(self, settings: FetchSettings) -> None:
        self._settings = settings

    def open(self, image: ImageRef) -> Iterator[bytes]:
        uri = image.uri
        for _ in range(self._settings.max_redirects + 1):
            response = self._get(uri)
            try:
                if response.status not in _REDIRECTS:
                    yield from self._body(response)
                    return
                uri = urljoin(uri, response.headers.get("location", ""))
            finally:
                response.close()
        raise rejected(Reason.FETCH_REFUSED, f"more than {self._settings.max_redirects} redirects")

    def _get(self, uri: str) -> urllib3.BaseHTTPResponse:
        parts, host, port = self._judge(uri)
        address = resolve(host, port, self._settings.allow_private_addresses)
        path = parts.path or "/"
        try:
            return self._pool(parts.scheme, host, address, port).urlopen(
                "GET",
                f"{path}?{parts.query}" if parts.query else path,
                headers={"Host": parts.netloc.rpartition("@")[2], "Accept": "image/*", "Accept-Encoding": "identity"},
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
            )
        except HTTPError as error:
            raise self._unreachable(host, type(error).__name__) from error

    def _judge(self, uri: str) -> tuple[SplitResult, str, int]:
        """The parts, host and port of an address that may be asked."""
        try:
            parts = urlsplit(uri)
            host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
        except ValueError:
            raise rejected(Reason.UNSUPPORTED_URI, "the address can't be read") from None
        if parts.scheme not in _DEFAULT_PORTS or not host or "\\" in uri or " " in uri or parts.username is not None:
            raise rejected(Reason.UNSUPPORTED_URI, "write http(s)://host/path, without user info or backslashes")
        if self._settings.allowed_hosts and host not in self._settings.allowed_hosts:
            raise rejected(Reason.FORBIDDEN_LOCATION, "the host is not among the allowed ones")
        if port not in self._settings.allowed_ports:
            raise rejected(Reason.FORBIDDEN_LOCATION, f"port {port} is not among the allowed ones")
        return parts, host, port

    def _pool(self, scheme: str, host: str, address: str, port: int) -> urllib3.HTTPConnectionPool:
        """A pool that dials `address` and speaks TLS to `host`."""
        timeout = urllib3.Timeout(connect=self._settings.connect_timeout_s, read=self._settings.total_timeout_s)
        if scheme == "http":
            return urllib3.HTTPConnectionPool(address, port, timeout=timeout, maxsize=1)
        return urllib3.HTTPSConnectionPool(
            address,
            port,
            timeout=timeout,
            maxsize=1,
            server_hostname=host,
            assert_hostname=host,
            cert_reqs="CERT_REQUIRED",
            ca_certs=certifi.where(),
        )

    def _body(self, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        self._check(response)
        try:
            # One read at a time: a body that trickles must come back here for its total time to be judged.
            while chunk := response.read1(CHUNK, decode_content=False):
                yield chunk
        except HTTPError as error:
            raise Retryable(Stage.FETCH, f"the body broke off: {type(error).__name__}") from error

    def _check(self, response: urllib3.BaseHTTPResponse) -> None:
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
        length = response.headers.get("content-length", "")
        check_size(int(length) if length.isdecimal() else 0, self._settings.max_bytes)

    def _unreachable(self, host: str, detail: str) -> PipelineError:
        listed = host in self._settings.allowed_hosts
        return Retryable(Stage.FETCH, f"the host can't be reached: {detail}", host if listed else None)
