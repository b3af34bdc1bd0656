"""Reads the outcome topics as any consumer of them would, and counts."""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from sightstream.consumers.kafka.message import headers_of
from sightstream.schemas.connections.client_log import client_logger
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.codec import decode_request, decode_result
from sightstream.schemas.wire.dead_letter import Failure, RecordId
from sightstream.schemas.wire.result_v2 import AnyResult
from sightstream.schemas.wire.topics import TopicSettings

RATE_WINDOW_S = 10.0


class OutcomeWatch:
    """Holds what a `read_committed` reader has seen so far. For one thread; the caller must close it."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings) -> None:
        self.results: dict[str, AnyResult] = {}
        self.dead_letters: dict[str, Failure] = {}
        self._sources: Counter[RecordId] = Counter()
        self._times: deque[float] = deque()
        self._topics = topics
        self._consumer = Consumer(
            kafka.client_config()
            | {"group.id": "sightstream-demo", "enable.auto.commit": False, "isolation.level": "read_committed"},
            logger=client_logger(__name__),
        )
        names = (topics.results, topics.dead_letters)
        self._consumer.assign([TopicPartition(name, p, 0) for name in names for p in range(topics.partitions)])

    @property
    def outcomes(self) -> int:
        """The number of requests that have at least one outcome."""
        return len(self._sources)

    @property
    def duplicates(self) -> int:
        """The number of outcomes beyond the first of a request."""
        return self._sources.total() - len(self._sources)

    @property
    def per_second(self) -> float:
        """Outcomes per second over the last ten seconds."""
        now = time.monotonic()
        while self._times and self._times[0] < now - RATE_WINDOW_S:
            self._times.popleft()
        return len(self._times) / RATE_WINDOW_S

    def read(self, seconds: float) -> None:
        """Read outcomes for `seconds`; blocks that long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            message = self._consumer.poll(left)
            if message is not None:
                self._add(message)

    def close(self) -> None:
        self._consumer.close()

    def _add(self, message: Any) -> None:
        if message.error() is not None:
            raise KafkaException(message.error())
        headers = headers_of(message) or []
        self._sources[RecordId.from_headers(headers)] += 1
        self._times.append(time.monotonic())
        if message.topic() == self._topics.results:
            result = decode_result(message.value())
            self.results[result.request_id] = result
        else:
            self.dead_letters[decode_request(message.value()).request_id] = Failure.from_headers(headers)
