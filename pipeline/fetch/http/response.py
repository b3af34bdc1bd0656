"""Checks an HTTP response before its body is read, and reads the body under the cap of size."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

from sightstream.pipeline.fetch.content_coding import check_coding
from sightstream.pipeline.fetch.errors import FailureKind, TransientError, check_size, rejected
from sightstream.pipeline.fetch.http.connection import Response
from sightstream.pipeline.fetch.http.parser import Headers
from sightstream.schemas.wire.dead_letter import Reason

_THROTTLED = {429, 503}
_SLOW = {408, 504}
_TOO_EARLY = 425
_ERROR = 500
# A server's defaults for a file that it does not know, such as text/plain, pass: the decoder finds out.
_NOT_AN_IMAGE = re.compile(
    r"(text/(?!plain)|video/|audio/|font/|image/svg|application/(x?html|xhtml|json|javascript|xml|pdf|.*\+(xml|json)))"
)
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,64}/[a-z0-9.+-]{1,64}")


def check_response(response: Response, max_bytes: int) -> None:
    """Return if the body may be an image and should be read. Raises TransientError or Rejected."""
    _check_status(response.status, response.headers)
    if response.headers.only("transfer-encoding").lower() not in ("", "chunked"):
        raise rejected(Reason.FETCH_REFUSED, "the host sent a transfer-encoding other than chunked")
    check_coding(response.headers.only("content-encoding"))
    _check_type(response.headers.get("content-type").lower())
    check_size(int(response.headers.get("content-length", "0")), max_bytes)


def read_body(response: Response, max_bytes: int) -> bytes:
    """Read the whole body. Raises TransientError when it breaks off, Rejected when it is more than `max_bytes`."""
    try:
        return response.read_body(lambda size_bytes: check_size(size_bytes, max_bytes))
    except OSError as error:
        raise TransientError(FailureKind.BROKEN, f"the body broke off: {type(error).__name__}") from error


def _check_status(status: int, headers: Headers) -> None:
    detail = f"the host answered {status}"
    if status in _THROTTLED:
        raise TransientError(FailureKind.THROTTLED, detail, retry_after_s(headers))
    if status in _SLOW:
        raise TransientError(FailureKind.SLOW, detail)
    if status >= _ERROR or status == _TOO_EARLY:
        raise TransientError(FailureKind.BROKEN, detail, retry_after_s(headers))
    if status in (404, 410):
        raise rejected(Reason.IMAGE_NOT_FOUND, detail)
    if status in (401, 403):
        raise rejected(Reason.ACCESS_DENIED, detail)
    if status != 200 or "content-range" in headers:
        raise rejected(Reason.FETCH_REFUSED, f"{detail}, not with a whole image")


def _check_type(content_type: str) -> None:
    """Raise Rejected for a type that is no image. HTML with 200 is what many hosts send instead of 404."""
    if _NOT_AN_IMAGE.match(content_type):
        match = _MEDIA_TYPE.match(content_type)
        name, hint = match[0] if match else "another type", "it looks like HTML: " if "html" in content_type else ""
        raise rejected(Reason.NOT_AN_IMAGE, f"{hint}the host says that it sent {name}")


def retry_after_s(headers: Headers) -> float | None:
    """Return the seconds that the server asks to wait; a date counts from the server's own Date header."""
    value = headers.get("retry-after")
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("date"))
    except (ValueError, TypeError):
        return None
    return max(0.0, wait.total_seconds())
