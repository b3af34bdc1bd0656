"""An answer as bytes that say whose they are and show when they were changed.

The digest is an HMAC-SHA-256 (RFC 2104) under the signing key; without one a plain SHA-256, which finds accidents and
no forger.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Annotated

from pydantic import Field, ValidationError

from sightstream.pipeline.cache.cached_answer import CachedAnswer
from sightstream.schemas.wire.request import WireModel
from sightstream.schemas.wire.text import Sha256

MAX_BYTES = 256 * 1024


class Envelope(WireModel):
    version: Annotated[int, Field(ge=1, le=1)]  # a Literal[1] would take true
    key: Sha256
    answer: CachedAnswer
    digest: Sha256


def seal(key: str, answer: CachedAnswer, signing_key: bytes | None) -> bytes | None:
    """JSON; None where it would pass MAX_BYTES."""
    digest = _digest(key, answer, signing_key)
    data = Envelope(version=1, key=key, answer=answer, digest=digest).model_dump_json().encode()
    return data if len(data) <= MAX_BYTES else None


def unseal(key: str, data: bytes, signing_key: bytes | None) -> CachedAnswer | None:
    """What was sealed under this key; None for all else. Never raises."""
    if len(data) > MAX_BYTES:
        return None
    try:
        found = Envelope.model_validate_json(data, strict=True)
    except ValidationError:
        return None
    genuine = hmac.compare_digest(found.digest, _digest(found.key, found.answer, signing_key))
    return found.answer if genuine and found.key == key else None


def _digest(key: str, answer: CachedAnswer, signing_key: bytes | None) -> str:
    """Over canonical JSON, not over the bytes as they came: those may differ and mean the same."""
    text = json.dumps([1, key, answer.model_dump()], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    if signing_key is None:
        return hashlib.sha256(text.encode("ascii")).hexdigest()
    return hmac.new(signing_key, text.encode("ascii"), hashlib.sha256).hexdigest()
