"""States what publishing needs of confluent-kafka's clients, and creates them with our logger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from sightstream.schemas.connections.client_log import client_logger

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message, TopicPartition

KafkaHeaders = list[tuple[str, str | bytes | None]]
ClientConfig = dict[str, Any]  # librdkafka's: text, numbers and callbacks
DeliveryCallback = Callable[["KafkaError | None", "Message"], None]

log = client_logger("sightstream.producers")


class RecordProducer(Protocol):
    """The part of confluent-kafka's Producer that sends records and reports on them."""

    def produce(
        self, topic: str, *, value: bytes, key: bytes, headers: KafkaHeaders, on_delivery: DeliveryCallback
    ) -> None: ...
    def poll(self, timeout: float, /) -> int: ...
    def purge(self) -> None: ...


class TransactionalProducer(Protocol):
    """The part of confluent-kafka's Producer that sends records in transactions."""

    def produce(self, topic: str, *, value: bytes, key: bytes, on_delivery: DeliveryCallback) -> None: ...
    def purge(self) -> None: ...
    def flush(self, timeout: float, /) -> int: ...
    def init_transactions(self, timeout: float, /) -> None: ...
    def begin_transaction(self) -> None: ...
    def send_offsets_to_transaction(
        self, positions: list[TopicPartition], group_metadata: Any, timeout: float, /
    ) -> None: ...
    def commit_transaction(self, timeout: float, /) -> None: ...
    def abort_transaction(self, timeout: float, /) -> None: ...
    def __len__(self) -> int: ...


class OffsetReader(Protocol):
    """The part of confluent-kafka's Consumer that reads a group's committed offsets."""

    def committed(self, partitions: list[TopicPartition], timeout: float, /) -> list[TopicPartition]: ...
    def consumer_group_metadata(self) -> Any: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ClientFactory:
    """Creates the two clients of a transactional sink from librdkafka configurations."""

    producer: Callable[[ClientConfig], TransactionalProducer]
    consumer: Callable[[ClientConfig], OffsetReader]


def create_producer(config: ClientConfig) -> RecordProducer:
    """Return confluent-kafka's producer."""
    from confluent_kafka import Producer

    return Producer(config, logger=log)


def confluent_clients() -> ClientFactory:
    """Return the factory of confluent-kafka's own clients."""
    from confluent_kafka import Consumer, Producer

    return ClientFactory(
        producer=lambda config: Producer(config, logger=log),
        consumer=lambda config: Consumer(config, logger=log),
    )
