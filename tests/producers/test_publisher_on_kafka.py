"""`ImagePublisher` on a real broker."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from aiokafka.partitioner import murmur2

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.producers.errors import BrokerUnreachable, DeliveryError, TopicMismatch
from sightstream.producers.publisher import ImagePublisher
from sightstream.producers.settings import PublisherSettings
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.topics import TopicSettings
from tests.producers.fakes import request
from tests.producers.reading import read_all, requests_on

pytestmark = pytest.mark.real


def test_threads_publish_and_every_record_is_in_the_partition_of_its_key(
    runtime: LocalRuntime, topics: TopicSettings
) -> None:
    with ImagePublisher(runtime.kafka_settings, topics, PublisherSettings(buffer_records=100)) as publisher:
        with ThreadPoolExecutor(4) as pool:
            deliveries = list(pool.map(lambda n: publisher.publish(request(n)), range(2000)))
        publisher.flush()
        assert all(delivery.done() for delivery in deliveries)
    messages = read_all(runtime.kafka_settings, topics.requests)
    assert len(messages) == 2000
    for message in messages:
        assert message.partition() == (murmur2(message.key()) & 0x7FFFFFFF) % topics.partitions
    reported = {(delivery.result().partition, delivery.result().offset) for delivery in deliveries}
    assert reported == {(message.partition(), message.offset()) for message in messages}


def test_one_products_requests_stay_in_order(runtime: LocalRuntime, topics: TopicSettings) -> None:
    with ImagePublisher(runtime.kafka_settings, topics) as publisher:
        for n in range(500):
            publisher.publish(request(n))
    found = sorted(requests_on(runtime.kafka_settings, topics.requests), key=lambda found: found.product_id)
    for _, of_one in itertools.groupby(found, key=lambda found: found.product_id):
        numbers = [int(found.request_id.removeprefix("r-")) for found in of_one]
        assert numbers == sorted(numbers)


def test_a_record_that_the_broker_refuses_reaches_the_caller_and_the_others_arrive(
    runtime: LocalRuntime, topics: TopicSettings
) -> None:
    _limit(runtime.kafka_settings, topics.requests, 2000)
    with pytest.raises(DeliveryError, match="too large") as caught:
        _publish(runtime.kafka_settings, topics, [request(1), request(2, question="x" * 8000), request(3)])
    assert caught.value.count == 1
    assert caught.value.first[0].request_id == "r-2"
    assert {found.request_id for found in requests_on(runtime.kafka_settings, topics.requests)} == {"r-1", "r-3"}


def _publish(kafka: KafkaSettings, topics: TopicSettings, requests: list[ImageRequest]) -> None:
    with ImagePublisher(kafka, topics, PublisherSettings(linger_s=0, compression="none")) as publisher:
        for one in requests:
            publisher.publish(one)
            publisher._buffer.wait_empty(30)  # one record a batch, or its neighbours are refused with it


def _limit(kafka: KafkaSettings, topic: str, max_bytes: int) -> None:
    from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

    entry = ConfigEntry("max.message.bytes", str(max_bytes), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient(kafka.client_config())
    (done,) = admin.incremental_alter_configs([resource]).values()
    done.result(30)


def test_a_missing_topic_is_named_and_not_created(runtime: LocalRuntime) -> None:
    topics = TopicSettings(requests=f"missing-{uuid4().hex}")
    for _ in range(2):
        with pytest.raises(TopicMismatch, match=rf"{topics.requests} does not exist.*12 partitions"):
            ImagePublisher(runtime.kafka_settings, topics).__enter__()


def test_another_number_of_partitions_stops_the_start(runtime: LocalRuntime, topics: TopicSettings) -> None:
    expected = topics.model_copy(update={"partitions": topics.partitions + 1})
    with pytest.raises(TopicMismatch, match=r"has 4 partitions, but 5 are configured.*SIGHTSTREAM_TOPICS_PARTITIONS=4"):
        ImagePublisher(runtime.kafka_settings, expected).__enter__()


def test_a_broker_that_is_not_there_is_named_in_time() -> None:
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(BrokerUnreachable, match=r"127\.0\.0\.1:1"):
        ImagePublisher(kafka, TopicSettings(), PublisherSettings(connect_timeout_s=1)).__enter__()
