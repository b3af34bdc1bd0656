"""The partitions that this worker owns now, each with its ledger; answers the group's rebalances."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from sightstream.consumers.kafka.offset_metadata import Ranges, UnreadableMetadata, decode
from sightstream.consumers.metrics import PARTITIONS
from sightstream.consumers.worker.ledger import CommitPoint, Ledger
from sightstream.consumers.worker.records import OutgoingRecord
from sightstream.consumers.worker.ticket import Ticket
from sightstream.pipeline.errors import Fatal

log = logging.getLogger(__name__)

# A predecessor that was killed inside a transaction leaves its offsets pending until that times out.
COMMITTED_PATIENCE_S = 90.0


@dataclass(slots=True, eq=False)
class Claim:
    """One partition, from its assignment to its revocation; never the same object twice.

    `settled` says that something was read since it was assigned.
    """

    partition: int
    ledger: Ledger[OutgoingRecord]
    tickets: dict[int, Ticket] = field(default_factory=dict)
    settled: bool = False
    paused: bool = False


class Claims:
    """Used by the thread that owns the consumer."""

    def __init__(self, consumer: Consumer, topic: str, note_limit: int) -> None:
        self._consumer = consumer
        self.topic = topic
        self._note_limit = note_limit
        self._claims: dict[int, Claim] = {}

    def __iter__(self) -> Iterator[Claim]:
        return iter(self._claims.values())

    def get(self, partition: int) -> Claim | None:
        return self._claims.get(partition)

    def holds(self, ticket: Ticket) -> Claim | None:
        """The claim under which this very ticket was taken, while it lasts."""
        claim = self._claims.get(ticket.source.partition)
        return claim if claim and claim.tickets.get(ticket.source.offset) is ticket else None

    @property
    def unpublished(self) -> int:
        return sum(len(claim.ledger) for claim in self)

    def open(self, partitions: Iterable[int]) -> list[TopicPartition]:
        """Claims partitions where the group left them; what to hand to `incremental_assign`. Blocks. Raises Fatal."""
        starts = []
        for at in self._committed(list(partitions)):
            base, note = max(at.offset, 0), at.metadata if at.offset >= 0 else ""
            self._claims[at.partition] = Claim(at.partition, Ledger(base, _read(note, at), self._note_limit))
            start = base if at.offset >= 0 else OFFSET_BEGINNING
            starts.append(TopicPartition(self.topic, at.partition, start))
        PARTITIONS.set(len(self._claims))
        return starts

    def close(self, partitions: Iterable[int]) -> list[Claim]:
        """Gives partitions up."""
        closed = [claim for partition in partitions if (claim := self._claims.pop(partition, None))]
        PARTITIONS.set(len(self._claims))
        return closed

    def settle_from_broker(self) -> None:
        """After a transaction of unknown end: takes over what Kafka holds. Blocks. Raises Fatal."""
        for at in self._committed(list(self._claims)):
            if at.offset >= 0:
                self.settle(self._claims[at.partition], CommitPoint(at.offset, at.metadata or ""))

    def settle(self, claim: Claim, point: CommitPoint) -> None:
        """`point` is committed."""
        claim.ledger.settle(point, decode(point.note, point.offset))
        for offset in [offset for offset in claim.tickets if not claim.ledger.is_open(offset)]:
            del claim.tickets[offset]

    def _committed(self, partitions: list[int]) -> list[TopicPartition]:
        """Waits for transactions that are pending on these offsets."""
        asked = [TopicPartition(self.topic, partition) for partition in partitions]
        deadline = time.monotonic() + COMMITTED_PATIENCE_S
        while asked:
            try:
                found = self._consumer.committed(asked, timeout=10)
                errors = [at.error for at in found if at.error]
                if not errors:
                    return found
                problem: object = errors[0]
            except KafkaException as error:
                problem = error.args[0]
            log.warning("the committed offsets can't be read yet: %s", problem)
            if time.monotonic() > deadline:
                raise Fatal(f"the committed offsets can't be read: {problem}")
            time.sleep(0.2)
        return []


def _read(note: str | None, at: TopicPartition) -> Ranges:
    try:
        return decode(note, at.offset)
    except UnreadableMetadata as error:
        raise Fatal(f"{at.topic}/{at.partition}: {error}") from error
