"""What the broker is asked, where the real one answers too seldom with what matters."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition, Uuid
from confluent_kafka.admin import AdminClient

from sightstream.consumers.kafka.broker import Broker
from sightstream.consumers.kafka.types import KafkaReadError, MissingTopic, PartitionId


class FakeAdmin:
    """Describes every topic with one id, or as unknown. Its leaders move for the first `moves` requests."""

    def __init__(self, topic_id: Uuid | None, moves: int = 0) -> None:
        self._topic_id = topic_id
        self._moves = moves

    def poll(self, timeout: float) -> int:
        return 0

    def describe_topics(self, topics: Any, request_timeout: float) -> dict[str, Future[Any]]:
        future: Future[Any] = Future()
        if self._topic_id is None:
            future.set_exception(KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)))
        else:
            future.set_result(SimpleNamespace(topic_id=self._topic_id, partitions=[]))
        return {"t": future}

    def list_offsets(
        self, wanted: dict[TopicPartition, Any], isolation_level: Any, request_timeout: float
    ) -> dict[TopicPartition, Future[Any]]:
        future: Future[Any] = Future()
        self._moves -= 1
        if self._moves >= 0:
            future.set_exception(KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION)))
        else:
            future.set_result(SimpleNamespace(offset=7))
        return dict.fromkeys(wanted, future)


def broker(topic_id: Uuid | None) -> Broker:
    return Broker(cast(AdminClient, FakeAdmin(topic_id)), 1)


def test_the_id_of_a_topic_is_written_as_kafkas_tools_write_it() -> None:
    assert str(Uuid(-1, -5)) == "////////////////////+w"
    assert broker(Uuid(-1, -5)).topics(["t"])["t"].topic_id == "____________________-w"


def test_an_unknown_topic_has_an_error_of_its_own() -> None:
    with pytest.raises(MissingTopic, match="the topic t does not exist"):
        broker(None).partitions(["t"])


def test_offsets_are_asked_for_again_while_the_leader_moves() -> None:
    at = PartitionId("t", 0)
    assert Broker(cast(AdminClient, FakeAdmin(None, moves=2)), 1).starts([at]) == {at: 7}
    with pytest.raises(KafkaReadError, match="Not leader"):
        Broker(cast(AdminClient, FakeAdmin(None, moves=9)), 1).starts([at])
