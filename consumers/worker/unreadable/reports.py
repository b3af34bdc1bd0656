"""What the child is asked, and what it reports, one line of JSON each.

The parent believes nothing that it has not checked.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from sightstream.consumers.worker.delivery import MAX_ORDER_KEY_BYTES
from sightstream.consumers.worker.records import MAX_KEPT_BYTES
from sightstream.consumers.worker.unreadable.record_batch import RawRecord
from sightstream.schemas.wire.codec import MAX_HEADERS, MAX_HEADERS_BYTES
from sightstream.schemas.wire.dead_letter import Headers

# A record of MAX_KEPT_BYTES in base64, with its headers.
MAX_LINE_BYTES = 4 * 1024**2

Number = Annotated[int, Field(ge=0, lt=2**63)]
# undecodable counts against the batch; corrupt is never given up; gone and unavailable say nothing about it.
FailureKind = Literal["undecodable", "corrupt", "gone", "unavailable"]


# Far above an honest batch, which has one megabyte.
MEMORY_BYTES = 1024**3


class BadReport(Exception):
    """The child wrote something else."""


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", val_json_bytes="base64", ser_json_bytes="base64")


class Order(BaseModel):
    """What to read: the first line of the child's standard input. It holds secrets: never log it."""

    kafka: dict[str, str | None]
    topic: str
    partition: int
    offset: int
    memory_bytes: int = MEMORY_BYTES


class BatchFound(_Report):
    """The batch that is read now: its offsets [`base`, `end`), and how many of them exist."""

    kind: Literal["found"] = "found"
    base: Number
    end: Number
    count: Number


class RecordRead(_Report):
    """A record as it is. `headers` is None where there are too many, `names` are their raw bytes."""

    kind: Literal["record"] = "record"
    offset: Number
    key: bytes | None
    value: bytes | None
    names: tuple[bytes, ...]
    values: tuple[bytes | None, ...]

    def headers(self) -> Headers | None:
        """Return the headers, None when a name is not UTF-8."""
        try:
            return [(name.decode(), value) for name, value in zip(self.names, self.values, strict=True)]
        except UnicodeDecodeError:
            return None


class RecordOmitted(_Report):
    """A record that is too large to keep. The key is there for the order of outcomes, unless it is large."""

    kind: Literal["omitted"] = "omitted"
    offset: Number
    key: bytes | None
    size_bytes: Number
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class BatchDone(_Report):
    """Every record before `end` was reported."""

    kind: Literal["done"] = "done"
    end: Number


class ReadFailed(_Report):
    """The attempt ended early."""

    kind: Literal["failed"] = "failed"
    failure: FailureKind
    detail: str


Report = BatchFound | RecordRead | RecordOmitted | BatchDone | ReadFailed
_REPORTS: TypeAdapter[Report] = TypeAdapter(Annotated[Report, Field(discriminator="kind")])


def parse_report(line: bytes) -> Report:
    """Return the report. Raises BadReport."""
    try:
        return _REPORTS.validate_json(line)
    except ValidationError as error:
        raise BadReport(str(error.errors(include_input=False, include_url=False)[0]["msg"])) from None


def record_report(record: RawRecord) -> RecordRead | RecordOmitted:
    """Return the whole record, or what stands for one that no dead letter could carry."""
    key = None if record.key is None else bytes(record.key[: MAX_KEPT_BYTES + 1])
    if record.size_bytes > MAX_KEPT_BYTES:
        return RecordOmitted(
            offset=record.offset,
            key=key if len(key or b"") <= MAX_ORDER_KEY_BYTES else None,
            size_bytes=record.size_bytes,
            sha256=hashlib.sha256(record.value or b"").hexdigest(),
        )
    names, values = _headers(record)
    value = None if record.value is None else bytes(record.value)
    return RecordRead(offset=record.offset, key=key, value=value, names=names, values=values)


def _headers(record: RawRecord) -> tuple[tuple[bytes, ...], tuple[bytes | None, ...]]:
    """Return names and values; of headers over the caps only as much as shows that they are over."""
    if sum(len(name) + len(value or b"") for name, value in record.headers) > MAX_HEADERS_BYTES:
        return (b"over-the-cap",), (b"x" * MAX_HEADERS_BYTES,)
    kept = record.headers[: MAX_HEADERS + 1]
    return tuple(name for name, _ in kept), tuple(value for _, value in kept)
