"""Seals an answer into bytes that name their key and reveal tampering.

The digest is an HMAC-SHA-256 (RFC 2104) under the signing key. Without a key it is a plain SHA-256, which detects
accidents but no forgery.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Annotated

from pydantic import Field, ValidationError

from sightstream.pipeline.cache.cached_answer import CachedAnswer
from sightstream.schemas.wire.text import Sha256
from sightstream.schemas.wire.wire_model import WireModel

MAX_BYTES = 256 * 1024
VERSION = 2


class Envelope(WireModel):
    """The stored form of an answer."""

    version: Annotated[int, Field(ge=VERSION, le=VERSION)]  # a Literal would accept 2.0
    key: Sha256
    answer: CachedAnswer
    digest: Sha256


def seal(key: str, answer: CachedAnswer, signing_key: bytes | None) -> bytes | None:
    """Return the answer as sealed JSON, or None if that would exceed MAX_BYTES."""
    digest = _digest(key, answer, signing_key)
    data = Envelope(version=VERSION, key=key, answer=answer, digest=digest).model_dump_json().encode()
    return data if len(data) <= MAX_BYTES else None


def unseal(key: str, data: bytes, signing_key: bytes | None) -> CachedAnswer | None:
    """Return the answer that was sealed under this key, or None for any other bytes. Never raises."""
    if len(data) > MAX_BYTES:
        return None
    try:
        envelope = Envelope.model_validate_json(data, strict=True)
    except ValidationError:
        return None
    genuine = hmac.compare_digest(envelope.digest, _digest(envelope.key, envelope.answer, signing_key))
    return envelope.answer if genuine and envelope.key == key else None


def _digest(key: str, answer: CachedAnswer, signing_key: bytes | None) -> str:
    """Digest canonical JSON rather than the bytes received, which may differ and mean the same."""
    text = json.dumps([VERSION, key, answer.model_dump()], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    if signing_key is None:
        return hashlib.sha256(text.encode("ascii")).hexdigest()
    return hmac.new(signing_key, text.encode("ascii"), hashlib.sha256).hexdigest()
