"""The partitions that this worker owns now, each with its ledger and its deliveries."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from sightstream.consumers.kafka.offset_metadata import Ranges, UnreadableMetadata, decode
from sightstream.consumers.metrics import PARTITIONS
from sightstream.consumers.worker.delivery import Delivery
from sightstream.consumers.worker.ledger import CommitPoint, Ledger
from sightstream.consumers.worker.records import OutgoingRecord
from sightstream.consumers.worker.settings import COMMITTED_TIMEOUT_S
from sightstream.pipeline.errors import Fatal

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class PartitionState:
    """One partition, from its assignment to its revocation; never the same object twice.

    Its methods alone change the ledger's offsets, `deliveries`, `held_bytes` and `has_polled` (something was read
    since it was assigned); Outcomes finishes offsets in the ledger, and Intake and LostPositions set `paused`. It
    `is_new` where the group had no offset. `replaced` is what Kafka still holds for a partition that was restarted: it
    says nothing about the offsets that are read now. Intake sets `held`: a record that was read, and is not started
    yet. The ledger does not know a held record, so no commit passes it.
    """

    partition: int
    ledger: Ledger[OutgoingRecord]
    deliveries: dict[int, Delivery] = field(default_factory=dict)
    held_bytes: int = 0
    has_polled: bool = False
    paused: bool = False
    is_new: bool = False
    replaced: CommitPoint | None = None
    held: Delivery | None = None
    behind_held: deque[Message] = field(default_factory=deque)

    def hold(self, delivery: Delivery) -> None:
        """Keep a record for later; whatever comes after it in the partition must wait in `behind_held`."""
        self.has_polled = True
        self.held = delivery

    def start(self, delivery: Delivery) -> bool:
        """Register a delivery. Return False if its offset was published before. Raises LedgerError."""
        self.has_polled = True
        offset = delivery.record_id.offset
        if not self.ledger.start(offset, delivery.order_key):
            return False
        self.deliveries[offset] = delivery
        self.held_bytes += delivery.held_bytes
        return True

    def advance_to(self, position: int) -> None:
        """Record that the partition was read up to `position`. Raises LedgerError."""
        self.has_polled = True
        self.ledger.advance_to(position)

    def pass_over(self, position: int) -> int:
        """Go on at `position`, and return how many offsets were lost: none where the group has only begun."""
        lost = self.ledger.pass_over(position)
        return 0 if self.is_new and not self.has_polled else lost

    def mark_committed(self, point: CommitPoint) -> None:
        """Record that Kafka has committed `point`, and drop the deliveries that it covers."""
        self.replaced = None
        self.ledger.mark_committed(point, decode(point.metadata, point.offset))
        for offset in [offset for offset in self.deliveries if not self.ledger.is_pending(offset)]:
            self.held_bytes -= self.deliveries.pop(offset).held_bytes


class Assignment:
    """The state of every owned partition. Used by the thread that owns the consumer."""

    def __init__(self, consumer: Consumer, topic: str, metadata_limit_bytes: int) -> None:
        self._consumer = consumer
        self.topic = topic
        self._metadata_limit_bytes = metadata_limit_bytes
        self._states: dict[int, PartitionState] = {}

    def __iter__(self) -> Iterator[PartitionState]:
        return iter(self._states.values())

    def get(self, partition: int) -> PartitionState | None:
        return self._states.get(partition)

    def find(self, delivery: Delivery) -> PartitionState | None:
        """Return the state in which this very delivery was registered, None once that has ended."""
        state = self._states.get(delivery.record_id.partition)
        return state if state and state.deliveries.get(delivery.record_id.offset) is delivery else None

    @property
    def unpublished(self) -> int:
        return sum(len(state.ledger) for state in self)

    @property
    def unfinished(self) -> int:
        """Count the requests whose outcome is still missing, those that wait for their next attempt included."""
        return sum(state.ledger.unfinished for state in self)

    @property
    def held_bytes(self) -> int:
        """About the memory of all deliveries that are not published yet."""
        return sum(state.held_bytes for state in self)

    def assign(self, partitions: Iterable[int]) -> list[TopicPartition]:
        """Start tracking these partitions at their committed offsets and return the positions for `incremental_assign`.

        Blocks. Raises Fatal.
        """
        starts = []
        for at in self._committed(list(partitions)):
            base, metadata = max(at.offset, 0), at.metadata if at.offset >= 0 else ""
            ledger: Ledger[OutgoingRecord] = Ledger(base, _published(metadata, at), self._metadata_limit_bytes)
            self._states[at.partition] = PartitionState(at.partition, ledger, is_new=at.offset < 0)
            start = base if at.offset >= 0 else OFFSET_BEGINNING
            starts.append(TopicPartition(self.topic, at.partition, start))
        PARTITIONS.set(len(self._states))
        return starts

    def revoke(self, partitions: Iterable[int]) -> list[PartitionState]:
        """Stop tracking these partitions and return their last states."""
        revoked = [state for partition in partitions if (state := self._states.pop(partition, None))]
        PARTITIONS.set(len(self._states))
        return revoked

    def restart(self, state: PartitionState, oldest: int) -> PartitionState:
        """Replace the state of a partition without deliveries by one that starts at `oldest`."""
        ledger: Ledger[OutgoingRecord] = Ledger(oldest, metadata_limit_bytes=self._metadata_limit_bytes)
        restarted = PartitionState(state.partition, ledger, replaced=state.ledger.committed)
        self._states[state.partition] = restarted
        return restarted

    def read_on(self, state: PartitionState) -> None:
        """Let the consumer go on at the ledger's position, wherever it is now. Raises KafkaException."""
        at = TopicPartition(self.topic, state.partition, state.ledger.position)
        self._consumer.incremental_unassign([at])
        self._consumer.incremental_assign([at])
        self._consumer.resume([at])
        state.is_new = state.is_new and not state.has_polled
        state.paused = state.has_polled = False

    def reload_committed(self) -> None:
        """Take over what Kafka has committed, after a transaction of unknown outcome. Blocks. Raises Fatal."""
        for at in self._committed(list(self._states)):
            state, point = self._states[at.partition], CommitPoint(at.offset, at.metadata or "")
            if at.offset >= 0 and point != state.replaced:
                state.mark_committed(point)

    def _committed(self, partitions: list[int]) -> list[TopicPartition]:
        """Read the committed offsets, waiting for transactions that are pending on them."""
        wanted = [TopicPartition(self.topic, partition) for partition in partitions]
        deadline = time.monotonic() + COMMITTED_TIMEOUT_S
        while wanted:
            try:
                found = self._consumer.committed(wanted, timeout=10)
                errors = [at.error for at in found if at.error]
                if not errors:
                    return found
                problem: object = errors[0]
            except KafkaException as error:
                problem = error.args[0]
            log.warning("can't read the committed offsets yet: %s", problem)
            if time.monotonic() > deadline:
                raise Fatal(f"can't read the committed offsets: {problem}")
            time.sleep(0.2)
        return []


def _published(metadata: str | None, at: TopicPartition) -> Ranges:
    try:
        return decode(metadata, at.offset)
    except UnreadableMetadata as error:
        raise Fatal(f"{at.topic}/{at.partition}: {error}") from error
