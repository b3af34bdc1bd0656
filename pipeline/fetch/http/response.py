"""Checks an HTTP response before its body is read, and reads the body under the cap of size."""

from __future__ import annotations

import re
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse, IncompleteRead

from sightstream.pipeline.fetch.errors import FailureKind, TransientError, check_size, rejected
from sightstream.schemas.wire.dead_letter import Reason

CHUNK_BYTES = 256 * 1024

_THROTTLED = {429, 503}
_SLOW = {408, 504}
_TOO_EARLY = 425
_ERROR = 500
# A server's defaults for a file that it does not know, such as text/plain, pass: the decoder finds out.
_NOT_AN_IMAGE = re.compile(
    r"(text/(?!plain)|video/|audio/|font/|image/svg|application/(x?html|xhtml|json|javascript|xml|pdf|.*\+(xml|json)))"
)
_LENGTH = re.compile(r"[0-9]{1,18}")


def check_response(response: HTTPResponse, max_bytes: int) -> None:
    """Return if the body may be an image and should be read. Raises TransientError or Rejected."""
    _check_status(response.status, response.headers)
    _check_framing(response.headers)
    _check_content(response.headers)
    check_size(response.length or 0, max_bytes)


def read_body(response: HTTPResponse, max_bytes: int) -> bytes:
    """Read the whole body. Raises TransientError when it breaks off, Rejected when it is more than `max_bytes`."""
    try:
        if response.length is not None:
            return response.read()
        data = bytearray()
        while chunk := response.read1(CHUNK_BYTES):
            data += chunk
            check_size(len(data), max_bytes)
        return bytes(data)
    except TimeoutError as error:
        raise TransientError(FailureKind.SLOW, "the body did not come in time") from error
    except IncompleteRead as error:
        raise TransientError(FailureKind.BROKEN, "the body broke off early") from error
    except (OSError, HTTPException, ValueError) as error:
        raise TransientError(FailureKind.BROKEN, f"the body broke off: {type(error).__name__}") from error


def _check_status(status: int, headers: Message) -> None:
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


def _check_framing(headers: Message) -> None:
    """Refuse lengths that two programs could read differently; http.client would use the first, or none."""
    lengths = set(headers.get_all("content-length", []))
    codings = [value.strip().lower() for value in headers.get_all("transfer-encoding", [])]
    valid = len(lengths) <= 1 and all(_LENGTH.fullmatch(length) for length in lengths)
    if not valid or (codings and (codings != ["chunked"] or lengths)):
        raise rejected(Reason.FETCH_REFUSED, "the host's headers give no clear length of the body")


def _check_content(headers: Message) -> None:
    if headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        raise rejected(Reason.FETCH_REFUSED, "the host sent a compressed body, which was not asked for")
    if _NOT_AN_IMAGE.match(headers.get("content-type", "").strip().lower()):
        raise rejected(Reason.FETCH_REFUSED, "the host sent a content type that is no image")


def retry_after_s(headers: Message) -> float | None:
    """Return the seconds that the server asks to wait; a date counts from the server's own Date header."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError):
        return None
    return max(0.0, wait.total_seconds())
