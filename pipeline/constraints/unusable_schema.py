"""Makes the error of a response format that cannot be used."""

from __future__ import annotations

from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.dead_letter import Reason, Stage

MAX_DETAIL_CHARS = 500


def unusable(problem: str) -> Rejected:
    """Return the error of a request whose format is unusable; the detail is one line."""
    detail = " ".join(problem.split())[:MAX_DETAIL_CHARS]
    return Rejected(Reason.SCHEMA_UNUSABLE, Stage.TAKE, detail)
