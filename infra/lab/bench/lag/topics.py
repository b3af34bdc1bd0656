"""What is really on the topics, read record by record: the truth that lag is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from sightstream.consumers.kafka.broker import Broker
from sightstream.consumers.kafka.message import headers_of, record_id
from sightstream.consumers.kafka.types import PartitionId
from sightstream.schemas.connections.client_log import client_logger
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.dead_letter import RecordId
from sightstream.schemas.wire.topics import TopicSettings

BATCH = 5000


@dataclass(frozen=True, slots=True)
class Left:
    """The records that a group has left, and the time of the oldest in milliseconds since 1970."""

    records: int
    oldest_ms: int | None


@dataclass(slots=True)
class Topics:
    """Everything that was published so far; `read_on` brings it up to date."""

    settings: TopicSettings
    consumer: Consumer
    requests: dict[PartitionId, dict[int, int]] = field(default_factory=dict)  # offset: milliseconds
    results: dict[PartitionId, dict[int, int]] = field(default_factory=dict)
    answered: set[RecordId] = field(default_factory=set)
    _next: dict[PartitionId, int] = field(default_factory=dict)

    @classmethod
    def open(cls, kafka: KafkaSettings, settings: TopicSettings) -> Topics:
        config = kafka.client_config() | {
            "group.id": "bench",  # never joined
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
        }
        topics = cls(settings, Consumer(config, logger=client_logger(__name__)))
        for topic in (settings.requests, settings.results, settings.dead_letters):
            for partition in range(settings.partitions):
                topics._next[PartitionId(topic, partition)] = 0
        return topics

    def is_stable(self, broker: Broker) -> bool:
        """Return whether no transaction is open."""
        return broker.ends(self._next) == broker.stable_ends(self._next)

    def read_on(self) -> None:
        """Read every topic to its last stable offset. Blocks."""
        self.consumer.assign([TopicPartition(*at, offset) for at, offset in self._next.items()])
        unread = set(self._next)
        while unread:
            for message in self.consumer.consume(BATCH, 0.2):
                error = message.error()
                if error is None:
                    self._add(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    found = record_id(message)
                    unread.discard(PartitionId(found.topic, found.partition))
        self.consumer.unassign()

    def _add(self, message: Message) -> None:
        found = record_id(message)
        at = PartitionId(found.topic, found.partition)
        self._next[at] = found.offset + 1
        _, ms = message.timestamp()
        if at.topic == self.settings.requests:
            self.requests.setdefault(at, {})[found.offset] = ms
            return
        if at.topic == self.settings.results:
            self.results.setdefault(at, {})[found.offset] = ms
        self.answered.add(RecordId.from_headers(headers_of(message) or []))

    def unanswered(self, at: PartitionId) -> Left:
        """Return the requests of a partition that have no outcome."""
        requests = self.requests.get(at, {})
        return _left([ms for offset, ms in requests.items() if RecordId(*at, offset) not in self.answered])

    def results_from(self, at: PartitionId, offset: int) -> Left:
        """Return the results of a partition from an offset on."""
        return _left([ms for one, ms in self.results.get(at, {}).items() if one >= offset])


def _left(times: list[int]) -> Left:
    return Left(len(times), min(times, default=None))
