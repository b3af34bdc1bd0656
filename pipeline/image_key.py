"""Names what a job shows, so that an engine keeps what it computed of the same pixels for further questions."""

from __future__ import annotations

import hashlib
import json

from sightstream.schemas.wire.request import Detail


def image_key(sha256s: tuple[str, ...], detail: Detail) -> str:
    """Return a key that is equal only for jobs with equal pixels: for one image at full detail, its sha256."""
    if len(sha256s) == 1 and detail != "low":
        return sha256s[0]
    return hashlib.sha256(json.dumps([*sha256s, detail]).encode("ascii")).hexdigest()
