"""What every source refuses in the same words."""

from __future__ import annotations

from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.dead_letter import Reason, Stage


def rejected(reason: Reason, detail: str) -> Rejected:
    """A fetch that can never work."""
    return Rejected(reason, Stage.FETCH, detail)


def check_size(count: int, max_bytes: int) -> None:
    """Raises Rejected when `count` bytes, announced or read, are too many."""
    if count > max_bytes:
        raise rejected(Reason.IMAGE_TOO_LARGE, f"the image has over {max_bytes} bytes")
