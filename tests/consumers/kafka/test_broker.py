"""What the broker is asked, where the real one answers too seldom with what matters."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Uuid
from confluent_kafka.admin import AdminClient

from sightstream.consumers.kafka.broker import Broker
from sightstream.consumers.kafka.types import MissingTopic


class FakeAdmin:
    """Describes every topic with one id, or as unknown."""

    def __init__(self, topic_id: Uuid | None) -> None:
        self._topic_id = topic_id

    def poll(self, timeout: float) -> int:
        return 0

    def describe_topics(self, topics: Any, request_timeout: float) -> dict[str, Future[Any]]:
        future: Future[Any] = Future()
        if self._topic_id is None:
            future.set_exception(KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)))
        else:
            future.set_result(SimpleNamespace(topic_id=self._topic_id, partitions=[]))
        return {"t": future}


def broker(topic_id: Uuid | None) -> Broker:
    return Broker(cast(AdminClient, FakeAdmin(topic_id)), 1)


def test_the_id_of_a_topic_is_written_as_kafkas_tools_write_it() -> None:
    assert str(Uuid(-1, -5)) == "////////////////////+w"
    assert broker(Uuid(-1, -5)).topics(["t"])["t"].topic_id == "____________________-w"


def test_an_unknown_topic_has_an_error_of_its_own() -> None:
    with pytest.raises(MissingTopic, match="the topic t does not exist"):
        broker(None).partitions(["t"])
