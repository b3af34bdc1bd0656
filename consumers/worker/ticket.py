"""A request in this worker's hands: the record it came as, and what has been tried."""

from __future__ import annotations

from dataclasses import dataclass

from sightstream.schemas.wire.dead_letter import Headers, RecordId
from sightstream.schemas.wire.request import ImageRequest


@dataclass(slots=True, eq=False)
class Ticket:
    """`request` is None when the record does not parse. Compared by identity: a record taken twice is two tickets."""

    source: RecordId
    key: bytes | None
    value: bytes | None
    headers: Headers
    request: ImageRequest | None = None
    attempts: int = 0
    failing_since: float | None = None

    @property
    def order_key(self) -> bytes | None:
        """Tickets that share it are published in order of their offsets."""
        return self.request.product_id.encode() if self.request else self.key
