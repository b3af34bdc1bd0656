"""Turns a result into the entry that the table keeps for its product: the result, and where it is on its topic."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

from sightstream.schemas.wire.codec import WireError, decode_result
from sightstream.schemas.wire.dead_letter import Headers, RecordId
from sightstream.schemas.wire.topics import record_key


class UnusableRecord(Exception):
    """This record is not a result that a lookup may show."""


@dataclass(frozen=True, slots=True)
class ResultPosition:
    """Where a result is. Offsets compare only within one partition of one topic: `topic_id` is Kafka's own."""

    topic_id: str
    partition: int
    offset: int


def make_entry(position: ResultPosition, key: bytes | None, value: bytes | None, headers: Headers) -> bytes:
    """Return JSON: where the result is, where its request is if known, and the result. Raises UnusableRecord."""
    try:
        result = decode_result(value)
    except WireError as error:
        raise UnusableRecord(str(error)) from None
    if key != record_key(result.product_id):
        raise UnusableRecord("the record's key is not its product_id, so no lookup would find it")
    about = {**asdict(position), "source": _source(headers)}
    return json.dumps(about).encode()[:-1] + b', "result": ' + (value or b"") + b"}"


def is_newer(position: ResultPosition, stored: bytes | None) -> bool:
    """Return whether a result at `position` replaces `stored`. False for a record that is delivered again."""
    if stored is None:
        return True
    known = json.loads(stored)
    if (known["topic_id"], known["partition"]) != (position.topic_id, position.partition):
        return True  # the topic was created again: its records replace the old ones
    return bool(position.offset > known["offset"])


def newest_of(entries: Iterable[bytes]) -> bytes | None:
    """Return the entry that was completed last.

    It chooses between partitions, whose offsets do not compare. A product has entries in two of them after the topic
    was given more partitions.
    """
    return max(entries, key=_completed_at, default=None)


def _completed_at(entry: bytes) -> datetime:
    return decode_result(json.dumps(json.loads(entry)["result"]).encode()).completed_at


def _source(headers: Headers) -> dict[str, object] | None:
    try:
        return asdict(RecordId.from_headers(headers))
    except (KeyError, ValueError, AttributeError, TypeError):
        return None
