"""What an HTTP answer's head says of the image: here it comes, try again, or never."""

from __future__ import annotations

import re
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPResponse

from sightstream.pipeline.fetch.refusals import check_size, rejected
from sightstream.pipeline.fetch.trouble import Transient, Trouble
from sightstream.schemas.wire.dead_letter import Reason

_THROTTLED = {429, 503}
_SLOW = {408, 504}
_TOO_EARLY = 425
_ERROR = 500
# A server's defaults for a file that it does not know, such as text/plain, are let through: decoding tells.
_NO_IMAGES = re.compile(
    r"(text/(?!plain)|video/|audio/|font/|image/svg|application/(x?html|xhtml|json|javascript|xml|pdf|.*\+(xml|json)))"
)
_LENGTH = re.compile(r"[0-9]{1,18}")


def check_answer(response: HTTPResponse, max_bytes: int) -> None:
    """Returns for an image to be read. Raises Transient or Rejected."""
    _check_status(response.status, response.headers)
    _check_framing(response.headers)
    _check_content(response.headers)
    check_size(response.length or 0, max_bytes)


def _check_status(status: int, headers: Message) -> None:
    said = f"the host answered {status}"
    if status in _THROTTLED:
        raise Transient(Trouble.THROTTLED, said, retry_after_s(headers))
    if status in _SLOW:
        raise Transient(Trouble.SLOW, said)
    if status >= _ERROR or status == _TOO_EARLY:
        raise Transient(Trouble.BROKEN, said, retry_after_s(headers))
    if status in (404, 410):
        raise rejected(Reason.IMAGE_NOT_FOUND, said)
    if status in (401, 403):
        raise rejected(Reason.ACCESS_DENIED, said)
    if status != 200 or "content-range" in headers:
        raise rejected(Reason.FETCH_REFUSED, f"{said}, not with a whole image")


def _check_framing(headers: Message) -> None:
    """Lengths that two programs could read apart are refused; http.client would take the first, or none."""
    lengths = set(headers.get_all("content-length", []))
    coding = [value.strip().lower() for value in headers.get_all("transfer-encoding", [])]
    sound = len(lengths) <= 1 and all(_LENGTH.fullmatch(length) for length in lengths)
    if not sound or (coding and (coding != ["chunked"] or lengths)):
        raise rejected(Reason.FETCH_REFUSED, "the host does not say clearly how long its answer is")


def _check_content(headers: Message) -> None:
    if headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        raise rejected(Reason.FETCH_REFUSED, "the host sent a compressed body that was not asked for")
    if _NO_IMAGES.match(headers.get("content-type", "").strip().lower()):
        raise rejected(Reason.FETCH_REFUSED, "the host sent something else than an image")


def retry_after_s(headers: Message) -> float | None:
    """Seconds that the server asks to wait; a date counts from the server's own Date."""
    asked = headers.get("retry-after", "").strip()
    if asked.isascii() and asked.isdigit():
        return float(asked[:9])
    try:
        wait = parsedate_to_datetime(asked) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError):
        return None
    return max(0.0, wait.total_seconds())
