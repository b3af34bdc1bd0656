"""A product whose request became a dead letter is told from one that is unknown."""

from __future__ import annotations

import json
from typing import Any

from confluent_kafka import TopicPartition

from sightstream.consumers.kafka.types import KafkaReadError, PartitionId
from sightstream.consumers.lookup import dead_letters
from sightstream.consumers.lookup.dead_letters import DeadLetters, follow
from sightstream.consumers.lookup.web import Pages
from sightstream.schemas.wire.dead_letter import Headers, RecordId
from tests.consumers.lookup.test_web import Table, get, with_pages
from tests.consumers.outcomes import dead_record


class FakeMessage:
    """A record of the topic of dead letters."""

    def __init__(self, key: bytes | None, headers: Headers | None) -> None:
        self._key, self._headers = key, headers

    def key(self) -> bytes | None:
        return self._key

    def headers(self) -> Headers | None:
        return self._headers

    def error(self) -> None:
        return None


def message(product: str) -> Any:
    key, _, headers = dead_record("r", product, RecordId("q", 0, 0))
    return FakeMessage(key, headers)


def test_the_newest_are_remembered_and_foreign_records_are_passed_over() -> None:
    letters = DeadLetters(capacity=2)
    foreign: list[Any] = [FakeMessage(b"x", None), FakeMessage(None, message("x").headers())]
    for each in (*map(message, "aba"), *foreign, message("c")):
        letters.add(each)
    assert [letters.get(key) is not None for key in (b"a", b"b", b"c", b"x")] == [True, False, True, False]
    found = letters.get(b"a")
    assert found is not None
    assert found.reason == "not_an_image"


def test_the_page_names_the_dead_letter() -> None:
    letters = DeadLetters()
    letters.add(message("p"))
    pages = Pages(Table({}), dead_letters=letters)
    status, _, body = with_pages(pages, lambda at: get(at, "/products/p"))
    found = json.loads(body)
    assert (status, found["error"], found["dead_letter"]["reason"]) == (404, "dead_letter", "not_an_image")
    assert "became a dead letter (not_an_image)" in found["detail"]
    assert json.loads(with_pages(pages, lambda at: get(at, "/products/q"))[2])["error"] == "unknown_product"


class FakeBroker:
    """Fails at first, then has two partitions, one of them longer than what is remembered."""

    def __init__(self) -> None:
        self.calls = 0

    def partitions(self, topics: tuple[str, ...]) -> list[PartitionId]:
        self.calls += 1
        if self.calls == 1:
            raise KafkaReadError("no such topic")
        return [PartitionId(topics[0], number) for number in range(2)]

    def starts(self, partitions: list[PartitionId]) -> dict[PartitionId, int]:
        return dict.fromkeys(partitions, 7)

    def stable_ends(self, partitions: list[PartitionId]) -> dict[PartitionId, int]:
        return dict(zip(partitions, (9, 10**6), strict=True))


class FakeConsumer:
    """Yields one letter."""

    def __init__(self) -> None:
        self.assigned: list[TopicPartition] = []
        self.left = [message("p")]

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.assigned = partitions

    def poll(self, timeout: float) -> Any:
        return self.left.pop() if self.left else None


def test_it_begins_near_the_end_and_tries_again(monkeypatch: Any) -> None:
    monkeypatch.setattr(dead_letters, "PAUSE_S", 0)
    letters, consumer, polls = DeadLetters(), FakeConsumer(), iter([False] * 6)
    reader: Any = consumer
    follow(letters, FakeBroker(), reader, "dead", lambda: next(polls, True))
    assert [at.offset for at in consumer.assigned] == [7, 10**6 - dead_letters.CAPACITY // 2]
    assert letters.get(b"p") is not None
