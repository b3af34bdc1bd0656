"""Reads which requests stand on the request topic already, and which of them became dead letters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sightstream.consumers.kafka.tail import TailConsumer
    from sightstream.schemas.connections.kafka import KafkaSettings
    from sightstream.schemas.wire.topics import TopicSettings

TIMEOUT_S = 30.0


def published_requests(kafka: KafkaSettings, topics: TopicSettings) -> Mapping[str, str | None]:
    """Return, by id, each request on the topic, with the reason of its newest dead letter that nobody has redriven.

    Reads both topics whole: blocks for about a minute per million requests, and holds their ids. Raises KafkaReadError
    or RedriveError.
    """
    from sightstream.consumers.kafka.tail import open_tail_consumer

    consumer = open_tail_consumer(kafka)
    try:
        found: dict[str, str | None] = dict.fromkeys(_ids(consumer, kafka, topics.requests))
    finally:
        consumer.close()
    return found | {request_id: reason for request_id, reason in _dead(kafka, topics) if request_id in found}


def _ids(consumer: TailConsumer, kafka: KafkaSettings, topic: str) -> list[str]:
    from confluent_kafka.admin import AdminClient

    from sightstream.consumers.kafka.broker import Broker
    from sightstream.consumers.kafka.span_reader import OffsetSpan, read_spans
    from sightstream.consumers.redrive.letter import request_of
    from sightstream.schemas.connections.client_log import client_logger

    broker = Broker(AdminClient(kafka.client_config(), logger=client_logger(__name__)), TIMEOUT_S)
    partitions = broker.partitions([topic])
    ends, starts = broker.stable_ends(partitions), broker.starts(partitions)
    spans = {at: OffsetSpan(starts[at], ends[at]) for at in partitions}
    requests = (request_of(message.value()) for message in read_spans(consumer, spans))
    return [request.request_id for request in requests if request is not None]


def _dead(kafka: KafkaSettings, topics: TopicSettings) -> list[tuple[str, str]]:
    from sightstream.consumers.redrive.filters import Filter
    from sightstream.consumers.redrive.kafka_topics import KafkaTopics
    from sightstream.consumers.redrive.letter import request_of
    from sightstream.consumers.redrive.markers import State
    from sightstream.consumers.redrive.survey import Survey
    from sightstream.infra.cli.dead_letter_progress import ReadProgress

    reader = KafkaTopics(kafka, topics)
    try:
        survey = Survey(reader, topics.dead_letters, Filter(), frozenset({State.OPEN}), ReadProgress(""))
        letters = ((request_of(letter.record.value), letter.failure.reason) for letter, _ in survey)
        return [(request.request_id, str(reason)) for request, reason in letters if request is not None]
    finally:
        reader.close()
