"""Coordinates and headers of every message, and a plain error where they are missing."""

from __future__ import annotations

import pytest
from confluent_kafka import Message

from sightstream.consumers.kafka.message import IncompleteMessage, headers_of, partition_of, record_id
from sightstream.consumers.kafka.types import PartitionId


def test_a_record_has_coordinates() -> None:
    at = record_id(Message(topic="t", partition=3, offset=17))
    assert (at.topic, at.partition, at.offset) == ("t", 3, 17)


@pytest.mark.parametrize(
    "message",
    [
        Message(partition=3, offset=17),
        Message(topic="t", offset=17),
        Message(topic="t", partition=3),
    ],
)
def test_a_record_without_one_of_them_is_an_internal_error_that_says_which(message: Message) -> None:
    with pytest.raises(IncompleteMessage, match=r"internal error: .*\bNone\b.*start this process again"):
        record_id(message)


def test_an_error_may_concern_no_partition() -> None:
    assert partition_of(Message(topic="t", partition=3)) == PartitionId("t", 3)
    assert partition_of(Message(topic="t")) is None
    assert partition_of(Message(partition=3)) is None


def test_headers_are_pairs_whatever_their_container() -> None:
    assert headers_of(Message()) == []
    assert headers_of(Message(headers=[("a", b"1"), ("a", b"2"), ("none", None)])) == [
        ("a", b"1"),
        ("a", b"2"),
        ("none", None),
    ]
    assert headers_of(Message(headers={"a": "text", "b": b"\xff"})) == [("a", b"text"), ("b", b"\xff")]


class BadHeaders(Message):
    """confluent-kafka raises when a header's name is not UTF-8."""

    broken = True

    def headers(self) -> list[tuple[str, str | bytes | None]] | None:
        if self.broken:
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
        return []

    def set_headers(self, value: object = None) -> None:
        self.broken = False


def test_a_header_name_that_is_not_text_has_no_headers_to_show() -> None:
    message = BadHeaders()
    assert headers_of(message) is None
    assert headers_of(message) == []
