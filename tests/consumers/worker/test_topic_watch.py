"""The request topic is watched by its id; a doubt of one moment stops nothing."""

from __future__ import annotations

import threading
from collections.abc import Collection

import pytest

from sightstream.consumers.kafka.broker import Topic
from sightstream.consumers.kafka.types import KafkaReadError
from sightstream.consumers.worker.topic_watch import TopicWatch, watching
from sightstream.pipeline.errors import Fatal


class FakeBroker:
    """Has the topic under `topic_id`, None for no topic; raises `error` if there is one."""

    def __init__(self) -> None:
        self.topic_id: str | None = "first"
        self.policy: str = "delete"
        self.error: KafkaReadError | None = None
        self.asked = threading.Event()

    def topics(self, names: Collection[str]) -> dict[str, Topic]:
        self.asked.set()
        if self.error:
            raise self.error
        return {name: Topic(self.topic_id, 4, 1) for name in names if self.topic_id}

    def topic_settings(self, topic: str) -> dict[str, str | None]:
        return {"cleanup.policy": self.policy}


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


@pytest.fixture
def watch(broker: FakeBroker) -> TopicWatch:
    return TopicWatch(broker, "requests", "first")


def test_the_same_topic_is_confirmed(watch: TopicWatch) -> None:
    watch.confirm()
    watch.check()
    watch.raise_problem()


def test_another_id_stops_the_worker_at_once(watch: TopicWatch, broker: FakeBroker) -> None:
    broker.topic_id = "second"
    with pytest.raises(Fatal, match=r"deleted and created again .*first.*second.*--from-beginning"):
        watch.confirm()
    watch.check()
    with pytest.raises(Fatal, match="created again"):
        watch.raise_problem()


def test_a_missing_topic_is_no_confirmation(watch: TopicWatch, broker: FakeBroker) -> None:
    broker.topic_id = None
    with pytest.raises(KafkaReadError, match="does not exist now"):
        watch.confirm()


def test_a_topic_that_stays_away_stops_the_worker(watch: TopicWatch, broker: FakeBroker) -> None:
    broker.topic_id = None
    watch.check()
    watch.raise_problem()
    broker.topic_id = "first"
    watch.check()
    broker.topic_id = None
    watch.check()
    watch.raise_problem()
    watch.check()
    with pytest.raises(Fatal, match=r"requests was deleted; create it"):
        watch.raise_problem()


def test_a_broker_that_does_not_answer_stops_nothing(watch: TopicWatch, broker: FakeBroker) -> None:
    broker.error = KafkaReadError("timed out")
    for _ in range(5):
        watch.check()
    watch.raise_problem()
    with pytest.raises(KafkaReadError):
        watch.confirm()


def test_compaction_that_is_switched_on_stops_the_worker(watch: TopicWatch, broker: FakeBroker) -> None:
    broker.policy = "compact"
    watch.check()
    with pytest.raises(Fatal, match="requests is compacted"):
        watch.raise_problem()


def test_it_looks_again_and_again(watch: TopicWatch, broker: FakeBroker) -> None:
    with watching(watch, interval_s=0.01):
        for _ in range(3):
            broker.asked.clear()
            assert broker.asked.wait(10)
