"""A broker of our own: TLS and SASL for real, and a broker that freezes or dies in the middle."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path
from uuid import uuid4

import pytest

from sightstream.infra.runtime.resources import create_topics
from sightstream.producers.errors import BrokerUnreachable, DeliveryError, NotDelivered
from sightstream.producers.progress import Progress
from sightstream.producers.publisher import ImagePublisher
from sightstream.producers.settings import PublisherSettings
from sightstream.producers.transactional_sink import Record, TransactionalSink
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.topics import TopicSettings, topic_specs
from tests.producers.fakes import request
from tests.producers.reading import high_watermark, requests_on
from tests.producers.secure_listeners import PASSWORD, SecureBroker, add_user, secure_broker

pytestmark = pytest.mark.real

QUICK = PublisherSettings(connect_timeout_s=3, delivery_timeout_s=10, transaction_timeout_s=10)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    found = secure_broker(tmp_path_factory.mktemp("secure"))
    with found.runtime:
        add_user(found.runtime.kafka_settings)
        yield found


@pytest.fixture
def own_topics(broker: SecureBroker) -> TopicSettings:
    name = uuid4().hex
    topics = TopicSettings(requests=name, results=f"{name}.r", dead_letters=f"{name}.d", partitions=2)
    create_topics(broker.runtime.kafka_settings, topic_specs(topics))
    return topics


@pytest.mark.parametrize("way", ["SCRAM-SHA-512", "PLAIN", "mutual"])
def test_publishing_over_tls(broker: SecureBroker, own_topics: TopicSettings, way: str) -> None:
    kafka = broker.mutual("client") if way == "mutual" else broker.sasl(way)
    with ImagePublisher(kafka, own_topics, QUICK) as publisher:
        publisher.publish(request(1))
    sink = TransactionalSink(kafka, QUICK, own_topics.requests, way)
    sink.open()
    sink.commit([Record("r-2", b"p", encode(request(2)))], Progress(1))
    sink.close()
    assert {found.request_id for found in requests_on(kafka, own_topics.requests)} == {"r-1", "r-2"}


def strangers(broker: SecureBroker) -> dict[str, tuple[KafkaSettings, str]]:
    """Return settings that the broker must refuse, each with a word of the refusal, by name."""
    return {
        "a wrong password": (broker.sasl(password=PASSWORD + "x"), "authentication"),
        "an authority that did not sign the broker": (broker.sasl(authority="stranger"), "certificate verify failed"),
        "no client certificate": (broker.mutual(None), "certificate"),
        "a client certificate that nobody vouches for": (broker.mutual("intruder"), "certificate"),
    }


def test_strangers_are_refused_in_time_and_no_secret_is_shown(broker: SecureBroker, own_topics: TopicSettings) -> None:
    for name, (kafka, word) in strangers(broker).items():
        start = time.monotonic()
        with pytest.raises(BrokerUnreachable) as caught:
            ImagePublisher(kafka, own_topics, QUICK).__enter__()
        assert time.monotonic() - start < 10, name
        assert word in str(caught.value), name
        assert PASSWORD not in str(caught.value), name


def test_a_frozen_broker_costs_a_delivery_error_and_nothing_is_lost_silently(
    broker: SecureBroker, own_topics: TopicSettings
) -> None:
    publisher = ImagePublisher(broker.runtime.kafka_settings, own_topics, PublisherSettings(delivery_timeout_s=4))
    publisher.__enter__()
    publisher.publish(request(1)).result(30)
    broker.runtime.kafka.pause()
    try:
        deliveries = [publisher.publish(request(2))]
        while deliveries[-1] in wait(deliveries[-1:], timeout=0.3).done:  # until the signal has reached the broker
            deliveries.append(publisher.publish(request(2)))
        with pytest.raises(DeliveryError) as caught:
            publisher.close()
    finally:
        broker.runtime.kafka.resume()
        broker.runtime.kafka.wait_until_ready()
    assert caught.value.count == 1
    assert isinstance(deliveries[-1].exception(0), NotDelivered)


def test_a_broker_killed_under_a_publish_job_costs_time_only(
    broker: SecureBroker, own_topics: TopicSettings, tmp_path: Path
) -> None:
    uris = [f"s3://shop/{n}.jpg" for n in range(2000)]
    (tmp_path / "a.csv").write_text("product_id,uri\n" + "".join(f"p{n % 7},{uri}\n" for n, uri in enumerate(uris)))
    environment = os.environ | {
        "SIGHTSTREAM_PUBLISH_BATCH_RECORDS": "20",
        "SIGHTSTREAM_PUBLISH_TRANSACTION_TIMEOUT_S": "10",
        "SIGHTSTREAM_KAFKA_BOOTSTRAP_SERVERS": broker.runtime.kafka_settings.bootstrap_servers,
        "SIGHTSTREAM_TOPICS_PARTITIONS": "2",
    }
    arguments = ["publish", str(tmp_path / "a.csv"), "--topic", own_topics.requests]
    with subprocess.Popen([sys.executable, "-m", "sightstream", *arguments], env=environment) as run:
        deadline = time.monotonic() + 60
        while high_watermark(broker.runtime.kafka_settings, own_topics.requests) < 100:
            assert run.poll() is None, "the run does not get on"
            assert time.monotonic() < deadline
        try:
            broker.runtime.kafka.kill()
            assert run.poll() is None, "the run ended before the broker died"
            broker.runtime.kafka.restart()
            assert run.wait(120) == 0
        finally:
            run.kill()
    found = requests_on(broker.runtime.kafka_settings, own_topics.requests)
    assert Counter(found.all_images[0].uri for found in found) == Counter(uris)
