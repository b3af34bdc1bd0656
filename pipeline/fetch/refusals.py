"""What every source refuses in the same words."""

from __future__ import annotations

from urllib.parse import urlsplit

from pipeline.errors import Rejected
from schemas.dead_letter import Reason, Stage


def rejected(reason: Reason, detail: str) -> Rejected:
    """A fetch that can never work."""
    return Rejected(reason, Stage.FETCH, detail)


def check_size(count: int, max_bytes: int) -> None:
    """Raises Rejected when `count` bytes, announced or read, are too many."""
    if count > max_bytes:
        raise rejected(Reason.IMAGE_TOO_LARGE, f"the image has over {max_bytes} bytes")


def split(uri: str) -> tuple[str, str]:
    """Host and path of an address. Raises Rejected when it can't be taken apart."""
    try:
        parts = urlsplit(uri)
        return parts.hostname or "", parts.path
    except ValueError as error:
        raise rejected(Reason.UNSUPPORTED_URI, f"the address can't be read: {error}") from None
