"""`ImagePublisher` on a fake producer: every delivery report reaches the caller."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sightstream.producers.errors import (
    BufferFull,
    DeliveryError,
    NotDelivered,
    PublisherClosed,
    PublishError,
    RequestRefused,
    RequestTooLarge,
    TopicMismatch,
)
from sightstream.producers.publisher import ImagePublisher, RecordMetadata
from sightstream.producers.settings import PublisherSettings
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.codec import decode_request
from sightstream.schemas.wire.request import ImageRef
from sightstream.schemas.wire.response_format import JsonSchema, JsonSchemaFormat
from sightstream.schemas.wire.topics import TopicSettings
from tests.producers.fakes import FakeKafkaError, FakeProducer, request


class PublisherHarness:
    """A publisher and the fake producer below it."""

    def __init__(self, **settings: Any) -> None:
        self.producer = FakeProducer({})
        self.publisher = ImagePublisher(
            KafkaSettings(),
            TopicSettings(),
            PublisherSettings(**settings),
            create_producer=self._create_producer,
            check=lambda kafka, topics, timeout_s: None,
        )

    def _create_producer(self, config: dict[str, Any]) -> FakeProducer:
        self.producer.config = config
        return self.producer


def refuse_p3(key: bytes) -> FakeKafkaError | None:
    return FakeKafkaError("Local: Message timed out") if key == b"p-3" else None


def test_a_request_goes_out_under_its_products_key_and_its_future_says_where() -> None:
    harness = PublisherHarness()
    with harness.publisher as publisher:
        delivery = publisher.publish(request(1))
        assert delivery.result(30) == RecordMetadata("image.requests", 0, 0)
    ((topic, key, value),) = harness.producer.sent
    assert (topic, key) == ("image.requests", b"p-1")
    assert decode_request(value) == request(1)


def test_the_producer_is_idempotent_acknowledged_by_all_and_its_queue_wider_than_ours() -> None:
    harness = PublisherHarness(delivery_timeout_s=7, buffer_records=50)
    with harness.publisher:
        config = harness.producer.config
    assert config["enable.idempotence"] is True
    assert config["acks"] == "all"
    assert config["partitioner"] == "murmur2_random"
    assert config["message.timeout.ms"] == 7000
    assert config["queue.buffering.max.messages"] > 50


def test_closing_raises_what_was_not_delivered() -> None:
    harness = PublisherHarness()
    harness.producer.error_for = refuse_p3
    with pytest.raises(DeliveryError) as caught, harness.publisher as publisher:
        deliveries = [publisher.publish(request(n)) for n in range(14)]
    assert caught.value.count == 2
    assert {failure.request_id for failure in caught.value.first} == {"r-3", "r-10"}
    assert "Message timed out" in str(caught.value)
    failed = [delivery.exception(0) for delivery in deliveries]
    assert [type(error) for error in (failed[3], failed[10])] == [NotDelivered, NotDelivered]
    assert sum(error is not None for error in failed) == 2


def test_only_the_first_failures_are_remembered_but_all_are_counted() -> None:
    harness = PublisherHarness()
    harness.producer.error_for = lambda key: FakeKafkaError("no")
    with pytest.raises(DeliveryError) as caught, harness.publisher as publisher:
        _ = [publisher.publish(request(n)) for n in range(1000)]
    assert caught.value.count == 1000
    assert len(caught.value.first) == 20
    assert len(str(caught.value)) < 300


def test_flush_reports_failures_once() -> None:
    harness = PublisherHarness()
    harness.producer.error_for = refuse_p3
    with harness.publisher as publisher:
        publisher.publish(request(3))
        with pytest.raises(DeliveryError):
            publisher.flush()
        publisher.publish(request(4))
        publisher.flush()


def test_flush_says_when_reports_are_missing() -> None:
    harness = PublisherHarness()
    harness.producer.delivering = False
    with harness.publisher as publisher:
        publisher.publish(request(1))
        with pytest.raises(PublishError, match="1 records have no delivery report yet"):
            publisher.flush(0.01)
        harness.producer.delivering = True


def test_an_error_in_the_body_is_kept_and_carries_the_undelivered() -> None:
    harness = PublisherHarness()
    harness.producer.error_for = refuse_p3
    with pytest.raises(ZeroDivisionError) as caught, harness.publisher as publisher:
        _ = publisher.publish(request(3)), 1 / 0
    assert any("1 records were not delivered" in note for note in caught.value.__notes__)


def test_records_without_a_delivery_report_fail_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightstream.producers.publisher.GRACE_S", 0.05)
    harness = PublisherHarness(delivery_timeout_s=0.01)
    harness.producer.delivering = False
    publisher = harness.publisher
    publisher.__enter__()
    delivery = publisher.publish(request(1))
    with pytest.raises(DeliveryError, match="Purged") as caught:
        publisher.close()
    assert caught.value.count == 1
    assert isinstance(delivery.exception(0), NotDelivered)


def test_a_full_buffer_blocks_then_says_so() -> None:
    harness = PublisherHarness(buffer_records=2, block_timeout_s=0.05)
    harness.producer.delivering = False
    with harness.publisher as publisher:
        publisher.publish(request(1))
        publisher.publish(request(2))
        with pytest.raises(BufferFull, match=r"r-3 was not sent: 2 records wait"):
            publisher.publish(request(3))
        harness.producer.delivering = True
        publisher.flush()
        publisher.publish(request(3))
    assert len(harness.producer.sent) == 3


def test_a_blocked_publish_continues_when_the_broker_confirms() -> None:
    harness = PublisherHarness(buffer_records=1, block_timeout_s=30)
    with harness.publisher as publisher:
        for n in range(20):
            publisher.publish(request(n))
    assert len(harness.producer.sent) == 20


def test_an_over_size_request_is_refused_before_anything_is_sent() -> None:
    harness = PublisherHarness()
    attributes = {f"a{n}": "\x01" * 1024 for n in range(32)}  # six bytes each in JSON
    image = ImageRef(uri="s3://" + "\U0001f457" * 8187)
    large = request(2, attributes=attributes, image=image, question="\x01" * 8192)
    with harness.publisher as publisher:
        with pytest.raises(RequestTooLarge, match=r"r-2: \d+ bytes are over the cap of 262144"):
            publisher.publish(large)
        publisher.publish(request(1, attributes=attributes))
    assert len(harness.producer.sent) == 1


def test_a_request_beyond_the_limits_is_refused_before_anything_is_sent() -> None:
    harness = PublisherHarness()
    shape = JsonSchemaFormat(json_schema=JsonSchema(name="x", schema_={"type": "string", "maxLen": 3}))
    unusable = request(2).model_copy(update={"response_format": shape, "schema_version": 2})
    with harness.publisher as publisher:
        with pytest.raises(RequestRefused, match=r"r-2: the schema of the question answer: #/maxLen: unknown keyword"):
            publisher.publish(unusable)
        with pytest.raises(RequestRefused, match=r"r-3: lane: reserved for a later version"):
            publisher.publish(request(3, lane="bulk"))
        publisher.publish(request(1))
    assert len(harness.producer.sent) == 1


def test_a_publisher_is_opened_once() -> None:
    harness = PublisherHarness()
    with harness.publisher as publisher, pytest.raises(PublisherClosed, match="make a new one"):
        publisher.__enter__()
    with pytest.raises(PublisherClosed):
        publisher.__enter__()


def test_nothing_is_sent_before_opening_or_after_closing() -> None:
    harness = PublisherHarness()
    with pytest.raises(PublisherClosed):
        harness.publisher.publish(request(1))
    with harness.publisher as publisher:
        pass
    with pytest.raises(PublisherClosed):
        publisher.publish(request(1))
    publisher.close()
    assert harness.producer.sent == []


def test_a_producer_that_cant_go_on_says_so_and_frees_the_buffer() -> None:
    harness = PublisherHarness(buffer_records=1, block_timeout_s=0)
    with harness.publisher as publisher:
        harness.producer.refuse = RuntimeError("fatal")
        for _ in range(3):
            with pytest.raises(PublishError, match="open a new publisher"):
                publisher.publish(request(1))


def test_opening_checks_the_topic() -> None:
    def check(kafka: KafkaSettings, topics: TopicSettings, timeout_s: float) -> None:
        raise TopicMismatch("3 partitions")

    created: list[object] = []

    def create(config: dict[str, Any]) -> FakeProducer:
        created.append(config)
        return FakeProducer(config)

    publisher = ImagePublisher(KafkaSettings(), TopicSettings(), create_producer=create, check=check)
    with pytest.raises(TopicMismatch):
        publisher.__enter__()
    assert created == []


def raise_zero_division(delivery: object) -> None:
    raise ZeroDivisionError


def test_a_callback_that_raises_does_not_stop_the_reports() -> None:
    harness = PublisherHarness()
    with harness.publisher as publisher:
        publisher.publish(request(1)).add_done_callback(raise_zero_division)
        assert publisher.publish(request(2)).result(30)


def test_many_threads_publish_through_one_publisher() -> None:
    harness = PublisherHarness(buffer_records=10)
    with harness.publisher as publisher, ThreadPoolExecutor(8) as pool:
        deliveries = list(pool.map(lambda n: publisher.publish(request(n)), range(400)))
    assert all(isinstance(delivery.result(0), RecordMetadata) for delivery in deliveries)
    sent = [decode_request(value).request_id for _, _, value in harness.producer.sent]
    assert sorted(sent) == sorted(f"r-{n}" for n in range(400))
