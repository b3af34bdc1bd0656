"""Goes on after Kafka no longer has the offset that comes next: passes over what retention removed, or stops.

The consumer is set to `auto.offset.reset=error`: with any other value librdkafka would go on elsewhere by itself and
tell nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaException, TopicPartition

from sightstream.consumers.kafka.types import KafkaReadError
from sightstream.consumers.metrics import REMOVED_BEFORE_READ
from sightstream.consumers.worker.assignment import Assignment, PartitionState
from sightstream.pipeline.errors import Fatal

log = logging.getLogger(__name__)

ASK_TIMEOUT_S = 10.0
RETRY_PAUSE_S = 1.0


class LostPositions:
    """The partitions whose next offset is gone. Used by the thread that owns the consumer.

    `confirm_topic` raises Fatal when the topic is another one, KafkaReadError when that is not known.
    """

    def __init__(
        self,
        consumer: Consumer,
        assignment: Assignment,
        confirm_topic: Callable[[], None],
        from_beginning: bool,
        clock: Callable[[], float],
    ) -> None:
        self._consumer, self._assignment, self._confirm_topic = consumer, assignment, confirm_topic
        self._from_beginning, self._clock = from_beginning, clock
        self._partitions: set[int] = set()
        self._next_try = 0.0

    def add(self, partition: int) -> None:
        """Record that Kafka does not have this partition's next offset; it delivers nothing until `restore`."""
        self._partitions.add(partition)

    def restore(self) -> None:
        """Go on in each of them. Blocks for some seconds at most, and tries again later. Raises Fatal."""
        if not self._partitions or self._clock() < self._next_try:
            return
        for partition in list(self._partitions):
            state = self._assignment.get(partition)
            if state is not None and state.held is not None:
                continue  # what was read before the loss, and has not begun yet, comes first
            try:
                if state is not None:
                    self._restore(state)
                self._partitions.discard(partition)
            except (KafkaException, KafkaReadError) as error:
                self._next_try = self._clock() + RETRY_PAUSE_S
                log.warning("%s/%d can't be read on yet: %s", self._assignment.topic, partition, error)

    def _restore(self, state: PartitionState) -> None:
        self._confirm_topic()
        at = TopicPartition(self._assignment.topic, state.partition)
        oldest, end = self._consumer.get_watermark_offsets(at, timeout=ASK_TIMEOUT_S)
        wanted = state.ledger.position
        if wanted < oldest:
            self._pass_over(state, oldest)
        elif self._from_beginning and not state.deliveries:
            log.error("%s/%d: offset %d is past the end, %d; starting at the oldest request, as --from-beginning asks",
                      at.topic, state.partition, wanted, end)  # fmt: skip
            state = self._assignment.restart(state, oldest)
        else:
            raise Fatal(
                f"{at.topic}/{state.partition}: the next offset is {wanted}, but the topic ends at {end}: the brokers "
                f"lost records, or the group's offsets belong to another topic. Set the group's offsets "
                f"(docs/how-to/reset-offsets.md), or start all workers with --from-beginning, which answers the "
                f"requests of this partition again"
            )
        self._assignment.read_on(state)

    def _pass_over(self, state: PartitionState, oldest: int) -> None:
        first = state.ledger.position
        count = state.pass_over(oldest)
        if not count:
            return
        REMOVED_BEFORE_READ.inc(count)
        log.error("%s/%d: %d offsets between %d and %d left the topic before they were read, so their requests have no "
                  "outcome; raise the topic's retention.ms", self._assignment.topic, state.partition, count, first,
                  oldest)  # fmt: skip
