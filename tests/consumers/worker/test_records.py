"""The records of results and dead letters."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sightstream.consumers.worker.delivery import Delivery
from sightstream.consumers.worker.incoming import read_record
from sightstream.consumers.worker.records import dead_letter_record, result_record
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.codec import decode_result
from sightstream.schemas.wire.dead_letter import Failure, Reason, RecordId, Stage
from sightstream.schemas.wire.redrive import History, LetterId
from sightstream.schemas.wire.result import Answer, ImageResult, ModelIdentity, SeenImage, StageSeconds, TokenCounts
from sightstream.schemas.wire.topics import TopicSettings

TOPICS = TopicSettings()
SOURCE = RecordId("image.requests", 3, 17)
HISTORY = History(
    2,
    LetterId("dead", "id", 1, 5),
    RecordId("image.requests", 3, 4),
    "image_not_found",
    datetime(2026, 1, 2, tzinfo=UTC),
)


def result(raw_text: str) -> ImageResult:
    return ImageResult(
        request_id="r",
        product_id="p",
        question="?",
        answer=Answer(),
        finish_reason="stop",
        complete=False,
        raw_text=raw_text,
        image=SeenImage(uri="s3://b/k", sha256="a" * 64, bytes=1, format="PNG", width=1, height=1),
        model=ModelIdentity(name="m", quantization="none", engine="simulated"),
        tokens=TokenCounts(prompt=1, completion=1),
        seconds=StageSeconds(fetch=0, decode=0, infer=0, total=0),
        completed_at=datetime.now(UTC),
    )


def test_a_result_is_keyed_by_its_product_and_says_where_it_came_from() -> None:
    record = result_record(Delivery(SOURCE, b"other", b"", []), result("text"), TOPICS)
    assert (record.topic, record.key, record.reason) == (TOPICS.results, b"p", None)
    found = decode_result(record.value)
    assert isinstance(found, ImageResult)
    assert found.raw_text == "text"
    assert RecordId.from_headers(record.headers) == SOURCE


def test_a_result_that_no_topic_accepts_is_rejected() -> None:
    with pytest.raises(Rejected) as caught:
        result_record(Delivery(SOURCE, b"p", b"", []), result("x" * 1_100_000), TOPICS)
    assert (caught.value.reason, caught.value.stage) == (Reason.RESULT_TOO_LARGE, Stage.PUBLISH)


def test_a_dead_letter_keeps_the_record_and_escapes_its_detail() -> None:
    delivery = Delivery(SOURCE, b"k\x00", None, [("trace", b"1"), ("sightstream-reason", b"forged")], attempts=2)
    error = Rejected(Reason.IMAGE_CORRUPT, Stage.DECODE, "bad\x1b[31m")
    record = dead_letter_record(delivery, error, TOPICS, datetime.now(UTC))
    assert (record.topic, record.key, record.value) == (TOPICS.dead_letters, b"k\x00", None)
    assert record.headers[0] == ("trace", b"1")
    failure = Failure.from_headers(record.headers)
    assert (failure.reason, failure.stage, failure.attempts) == (Reason.IMAGE_CORRUPT, Stage.DECODE, 2)
    assert failure.source == SOURCE
    assert failure.detail == "bad\\x1b[31m"


def test_the_history_of_a_redriven_request_outlives_its_second_death() -> None:
    delivery = Delivery(SOURCE, b"k", b"{}", [("trace", b"1"), *HISTORY.headers(), ("sightstream-reason", b"forged")])
    record = dead_letter_record(delivery, Rejected(Reason.MALFORMED, Stage.TAKE, ""), TOPICS, datetime.now(UTC))
    assert History.from_headers(record.headers) == HISTORY
    assert Failure.from_headers(record.headers).source == SOURCE
    assert len(record.headers) == len({name for name, _ in record.headers})


def test_the_history_stands_on_the_result() -> None:
    delivery = Delivery(SOURCE, b"p", b"{}", HISTORY.headers())
    assert History.from_headers(result_record(delivery, result("text"), TOPICS).headers) == HISTORY


def test_the_history_of_a_record_too_large_to_keep_is_kept() -> None:
    delivery, _ = read_record(SOURCE, b"p", b"x" * 3_000_000, HISTORY.headers())
    record = dead_letter_record(delivery, Rejected(Reason.MALFORMED, Stage.TAKE, ""), TOPICS, datetime.now(UTC))
    assert record.value is None
    assert History.from_headers(record.headers) == HISTORY


def test_a_request_that_was_never_redriven_has_no_history() -> None:
    assert len(result_record(Delivery(SOURCE, b"p", b"{}", []), result("text"), TOPICS).headers) == 3
