"""A request in this worker's hands: the record that it came as, and the attempts so far."""

from __future__ import annotations

from dataclasses import dataclass

from sightstream.schemas.wire.dead_letter import Headers, RecordId
from sightstream.schemas.wire.request import ImageRequest


@dataclass(slots=True, eq=False)
class Delivery:
    """`request` is None when the record does not parse. Compared by identity: a record read twice is two deliveries.

    Outcomes alone counts `attempts`; RetryQueue alone sets `failing_since`.
    """

    record_id: RecordId
    key: bytes | None
    value: bytes | None
    headers: Headers
    request: ImageRequest | None = None
    attempts: int = 0
    failing_since: float | None = None

    @property
    def order_key(self) -> bytes | None:
        """Deliveries with the same key are published in the order of their offsets."""
        return self.request.product_id.encode() if self.request else self.key
