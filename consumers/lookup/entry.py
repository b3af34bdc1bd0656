"""What the table holds for a product: its newest result, and where on the result topic that stands."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from sightstream.schemas.wire.codec import WireError, decode_result
from sightstream.schemas.wire.dead_letter import Headers, Source
from sightstream.schemas.wire.topics import record_key


class Unusable(Exception):
    """This record is not a result that a look-up may show."""


@dataclass(frozen=True, slots=True)
class ResultPlace:
    """A record's place. Offsets compare only within one partition of one topic: `topic_id` is Kafka's own."""

    topic_id: str
    partition: int
    offset: int


def make_entry(place: ResultPlace, key: bytes | None, value: bytes | None, headers: Headers) -> bytes:
    """JSON: where the result stands, where its request stood if known, and the result itself. Raises Unusable."""
    try:
        result = decode_result(value)
    except WireError as error:
        raise Unusable(str(error)) from None
    if key != record_key(result.product_id):
        raise Unusable("the key is not the product's: it would be found under another name")
    about = {**asdict(place), "source": _source(headers)}
    return json.dumps(about).encode()[:-1] + b', "result": ' + (value or b"") + b"}"


def is_newer(place: ResultPlace, stored: bytes | None) -> bool:
    """Whether a result at `place` replaces `stored`. False for a record that is delivered again."""
    if stored is None:
        return True
    known = json.loads(stored)
    if (known["topic_id"], known["partition"]) != (place.topic_id, place.partition):
        return True  # the topic was made again: what stands there now is what counts
    return place.offset > known["offset"]


def _source(headers: Headers) -> dict[str, object] | None:
    try:
        return asdict(Source.from_headers(headers))
    except (KeyError, ValueError, AttributeError, TypeError):
        return None
