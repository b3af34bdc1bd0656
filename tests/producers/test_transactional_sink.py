"""The transactional sink on a real broker: records and progress together, whatever process dies."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.producers.errors import InDoubt, Superseded
from sightstream.producers.progress import Progress
from sightstream.producers.settings import PublisherSettings
from sightstream.producers.transactional_sink import Record, TransactionalSink
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.topics import TopicSettings
from tests.producers.fakes import request
from tests.producers.reading import read_all, requests_on

pytestmark = pytest.mark.real


class Gone(Exception):
    """The process ended here."""


class Abandoned:
    """A producer whose process dies when it is about to commit."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer

    def commit_transaction(self, timeout_s: float) -> None:
        raise Gone

    def __len__(self) -> int:
        return len(self._producer)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)


@pytest.fixture
def job() -> str:
    return uuid4().hex


def sink(runtime: LocalRuntime, topics: TopicSettings, job: str) -> TransactionalSink:
    return TransactionalSink(runtime.kafka_settings, PublisherSettings(transaction_timeout_s=20), topics.requests, job)


def records(*numbers: int) -> list[Record]:
    return [Record(f"r-{n}", b"p", encode(request(n))) for n in numbers]


def seen(runtime: LocalRuntime, topics: TopicSettings) -> list[str]:
    return [found.request_id for found in requests_on(runtime.kafka_settings, topics.requests)]


def test_progress_is_read_back_by_the_next_one(runtime: LocalRuntime, topics: TopicSettings, job: str) -> None:
    first = sink(runtime, topics, job)
    assert first.open() == Progress()
    first.commit(records(1, 2), Progress(2, 0, "d1", "run"))
    first.commit([], Progress(2, 3, "d2", "run"))
    first.close()
    second = sink(runtime, topics, job)
    assert second.open() == Progress(2, 3, "d2", "run")
    second.close()
    assert seen(runtime, topics) == ["r-1", "r-2"]


def test_each_job_has_its_own_progress(runtime: LocalRuntime, topics: TopicSettings, job: str) -> None:
    first, other = sink(runtime, topics, job), sink(runtime, topics, "other-" + job)
    first.open()
    first.commit(records(1), Progress(1))
    assert other.open() == Progress()
    first.commit(records(2), Progress(2))
    first.close()
    other.close()


def test_a_later_one_fences_an_earlier_one(runtime: LocalRuntime, topics: TopicSettings, job: str) -> None:
    earlier, later = sink(runtime, topics, job), sink(runtime, topics, job)
    earlier.open()
    earlier.commit(records(1), Progress(1))
    assert later.open() == Progress(1)
    with pytest.raises(Superseded):
        earlier.commit(records(2), Progress(2))
    later.commit(records(3), Progress(2))
    earlier.close()
    later.close()
    assert seen(runtime, topics) == ["r-1", "r-3"]


def test_an_open_transaction_is_aborted_by_the_next_one(runtime: LocalRuntime, topics: TopicSettings, job: str) -> None:
    """Imitates a process that dies after its offsets were sent: its half transaction never becomes visible."""
    gone = sink(runtime, topics, job)
    gone.open()
    gone.commit(records(1), Progress(1))
    gone._producer = Abandoned(gone._producer)
    with pytest.raises(Gone):
        gone.commit(records(2), Progress(2))
    following = sink(runtime, topics, job)
    assert following.open() == Progress(1)
    following.commit(records(3), Progress(2))
    following.close()
    assert seen(runtime, topics) == ["r-1", "r-3"]
    uncommitted = read_all(runtime.kafka_settings, topics.requests, "read_uncommitted")
    assert len(uncommitted) == 3  # the aborted record is on the topic, and no reader of ours sees it


def test_a_broker_that_does_not_answer_means_in_doubt(topics: TopicSettings, job: str) -> None:
    settings = PublisherSettings(transaction_timeout_s=1)
    silent = TransactionalSink(KafkaSettings(bootstrap_servers="127.0.0.1:1"), settings, topics.requests, job)
    with pytest.raises(InDoubt):
        silent.open()
    silent.close()
