"""Defines dead letters: the original record, byte for byte, with the reason in its headers.

To redrive one, publish its key, value and original headers again, with the history of redrive.py.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

HEADER_PREFIX = "sightstream-"
MAX_DETAIL_CHARS = 1000
# What every reason and stage looks like, those of later versions included.
CODE_PATTERN = "^[a-z][a-z0-9_]{0,63}$"

Code = TypeVar("Code", bound=StrEnum)

# Kafka allows a header without a value.
Headers = list[tuple[str, bytes | None]]


class Reason(StrEnum):
    """Lists every reason why a request can have no answer."""

    MALFORMED = "malformed"
    REQUEST_TOO_LARGE = "request_too_large"
    UNREADABLE_RECORD = "unreadable_record"
    UNSUPPORTED_VERSION = "unsupported_version"
    SCHEMA_UNUSABLE = "schema_unusable"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    UNSUPPORTED_URI = "unsupported_uri"
    FORBIDDEN_LOCATION = "forbidden_location"
    IMAGE_NOT_FOUND = "image_not_found"
    ACCESS_DENIED = "access_denied"
    FETCH_REFUSED = "fetch_refused"
    IMAGE_TOO_LARGE = "image_too_large"
    CHECKSUM_MISMATCH = "checksum_mismatch"
    NOT_AN_IMAGE = "not_an_image"
    IMAGE_CORRUPT = "image_corrupt"
    TOO_MANY_PIXELS = "too_many_pixels"
    UNUSABLE_SHAPE = "unusable_shape"
    DECODE_TIMEOUT = "decode_timeout"
    DECODE_CRASH = "decode_crash"
    QUESTION_TOO_LONG = "question_too_long"
    ENGINE_REFUSED = "engine_refused"
    ENGINE_CRASH = "engine_crash"
    WORKER_CRASH = "worker_crash"
    RETRIES_EXHAUSTED = "retries_exhausted"
    RESULT_TOO_LARGE = "result_too_large"
    INTERNAL_ERROR = "internal_error"


class Stage(StrEnum):
    """Names the step at which the request failed."""

    TAKE = "take"
    FETCH = "fetch"
    DECODE = "decode"
    INFER = "infer"
    PUBLISH = "publish"


@dataclass(frozen=True, slots=True)
class RecordId:
    """The coordinates of the record on the request topic that an outcome belongs to."""

    topic: str
    partition: int
    offset: int

    def headers(self) -> Headers:
        """Return the coordinates as headers of the outcome."""
        return [
            (HEADER_PREFIX + "source-topic", self.topic.encode()),
            (HEADER_PREFIX + "source-partition", str(self.partition).encode()),
            (HEADER_PREFIX + "source-offset", str(self.offset).encode()),
        ]

    @classmethod
    def from_headers(cls, headers: Headers) -> RecordId:
        """Return what headers() wrote. Raises KeyError or ValueError for other headers."""
        found = _present(headers)
        return cls(
            topic=found[HEADER_PREFIX + "source-topic"].decode(),
            partition=int(found[HEADER_PREFIX + "source-partition"]),
            offset=int(found[HEADER_PREFIX + "source-offset"]),
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """Describes why a request became a dead letter. `detail` must hold no secrets.

    A reason or stage that a later version wrote, and that this one does not know, is kept as text.
    """

    reason: Reason | str
    stage: Stage | str
    detail: str
    attempts: int
    failed_at: datetime
    source: RecordId

    def headers(self) -> Headers:
        """Return the headers of the dead letter; `detail` is made printable and truncated."""
        return [
            (HEADER_PREFIX + "reason", self.reason.encode()),
            (HEADER_PREFIX + "stage", self.stage.encode()),
            (HEADER_PREFIX + "detail", printable(self.detail)[:MAX_DETAIL_CHARS].encode()),
            (HEADER_PREFIX + "attempts", str(self.attempts).encode()),
            (HEADER_PREFIX + "failed-at", self.failed_at.isoformat().encode()),
            *self.source.headers(),
        ]

    @classmethod
    def from_headers(cls, headers: Headers) -> Failure:
        """Return what headers() wrote. Raises KeyError or ValueError when the record is no dead letter."""
        found = _present(headers)
        return cls(
            reason=_code(Reason, found[HEADER_PREFIX + "reason"].decode()),
            stage=_code(Stage, found[HEADER_PREFIX + "stage"].decode()),
            detail=found[HEADER_PREFIX + "detail"].decode(),
            attempts=int(found[HEADER_PREFIX + "attempts"]),
            failed_at=datetime.fromisoformat(found[HEADER_PREFIX + "failed-at"].decode()),
            source=RecordId.from_headers(headers),
        )


def _code(known: type[Code], text: str) -> Code | str:
    """Return the member of `known`, or the text itself. Raises ValueError when no version could have written it."""
    if not re.fullmatch(CODE_PATTERN, text):
        raise ValueError(f"{printable(text)[:64]!r} is no {known.__name__.lower()}")
    try:
        return known(text)
    except ValueError:
        return text


def omitted_headers(key: bytes | None, value: bytes | None) -> Headers:
    """Return the headers that replace a record too large to keep: its size in bytes and its value's sha256."""
    return omitted_size_headers(len(key or b"") + len(value or b""), hashlib.sha256(value or b"").hexdigest())


def omitted_size_headers(size_bytes: int, sha256: str) -> Headers:
    """Return the same headers for a record of which only these are known."""
    return [
        (HEADER_PREFIX + "omitted-bytes", str(size_bytes).encode()),
        (HEADER_PREFIX + "omitted-sha256", sha256.encode()),
    ]


def _present(headers: Headers) -> dict[str, bytes]:
    """Return the headers that have a value; Kafka allows headers without one, and they count as absent."""
    return {name: value for name, value in headers if value is not None}


def original_headers(headers: Headers | None) -> Headers:
    """Return the headers that the publisher of the record set."""
    return [(name, value) for name, value in headers or [] if not is_own_header(name)]


def is_own_header(name: str) -> bool:
    """Return whether this product writes the header, so that a publisher's one of this name is forged."""
    return name.startswith(HEADER_PREFIX)


def printable(text: str) -> str:
    """Return `text` with control characters and lone surrogates escaped, so that no terminal or log interprets it."""
    clean = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in clean)
