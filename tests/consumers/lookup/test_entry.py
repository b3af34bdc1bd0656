"""The table's entries: the content of one, and which of two wins."""

from __future__ import annotations

import json
from datetime import timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.consumers.lookup.entry import ResultPosition, UnusableRecord, is_newer, make_entry, newest_of
from sightstream.infra.cli.lookup import as_text
from sightstream.schemas.wire.codec import decode_result, encode
from sightstream.schemas.wire.dead_letter import RecordId
from sightstream.schemas.wire.result import ImageResult
from sightstream.schemas.wire.topics import record_key
from tests.consumers.outcomes import NOON, answer, result, result_record, result_v2
from tests.schemas.wire import strategies

KEY, VALUE, HEADERS = result_record("r-1", "p-1", RecordId("requests", 2, 7))
positions = st.builds(ResultPosition, st.sampled_from("ab"), st.integers(0, 1), st.integers(0, 99))


def entry(position: ResultPosition) -> bytes:
    return make_entry(position, KEY, VALUE, HEADERS)


@given(strategies.results, positions)
def test_an_entry_holds_the_result_and_its_position(result: ImageResult, position: ResultPosition) -> None:
    made = json.loads(make_entry(position, record_key(result.product_id), encode(result), HEADERS))
    assert ImageResult.model_validate_json(json.dumps(made["result"])) == result
    assert ResultPosition(made["topic_id"], made["partition"], made["offset"]) == position
    assert made["source"] == {"topic": "requests", "partition": 2, "offset": 7}


def test_an_entry_holds_a_result_of_version_2() -> None:
    made = result_v2("r-2", "p-1", answer("kind", {"colour": None}, 0.5))
    found = json.loads(make_entry(ResultPosition("a", 0, 4), b"p-1", encode(made), HEADERS))
    assert decode_result(json.dumps(found["result"]).encode()) == made


# As the version before wrote it to the changelog.
OLD_ENTRY = (Path(__file__).parent / "fixtures" / "entry_of_version_1.json").read_bytes()


def test_an_entry_of_the_version_before_is_read_and_replaced() -> None:
    newer = result_v2("r-2", "p-1", answer("kind", "mug")).model_copy(update={"completed_at": NOON + timedelta(1)})
    entry = make_entry(ResultPosition("topic-id", 1, 6), b"p-1", encode(newer), HEADERS)
    assert is_newer(ResultPosition("topic-id", 1, 6), OLD_ENTRY)
    assert not is_newer(ResultPosition("topic-id", 1, 5), OLD_ENTRY)
    assert newest_of([OLD_ENTRY]) == OLD_ENTRY
    assert newest_of([OLD_ENTRY, entry]) == newest_of([entry, OLD_ENTRY]) == entry
    assert as_text(json.loads(OLD_ENTRY)).startswith("product    p-1")


def test_a_result_without_a_source_is_shown_without_one() -> None:
    assert json.loads(make_entry(ResultPosition("a", 0, 0), KEY, VALUE, []))["source"] is None


@pytest.mark.parametrize("value", [None, b"", b"{", b'{"result": 1}', b"\xff"])
def test_what_is_no_result_is_unusable(value: bytes | None) -> None:
    with pytest.raises(UnusableRecord):
        make_entry(ResultPosition("a", 0, 0), KEY, value, HEADERS)


@pytest.mark.parametrize("key", [None, b"", b"p-2", b"__faust\x00offset__"])
def test_a_record_under_another_key_is_unusable(key: bytes | None) -> None:
    with pytest.raises(UnusableRecord, match="key"):
        make_entry(ResultPosition("a", 0, 0), key, VALUE, HEADERS)


@given(st.lists(st.integers(0, 20), min_size=1))
def test_whatever_is_delivered_again_the_newest_stays(offsets: list[int]) -> None:
    stored: bytes | None = None
    for offset in offsets:
        position = ResultPosition("a", 0, offset)
        if is_newer(position, stored):
            stored = entry(position)
    assert stored is not None
    assert json.loads(stored)["offset"] == max(offsets)


def test_a_topic_created_again_counts_from_its_first_record() -> None:
    assert is_newer(ResultPosition("new", 0, 0), entry(ResultPosition("old", 0, 99)))


def test_of_several_partitions_the_entry_that_was_completed_last_wins() -> None:
    """`completed_at` may be written in any time zone."""
    moments = [NOON, NOON.astimezone(timezone(timedelta(hours=9))) + timedelta(seconds=1), NOON - timedelta(hours=1)]
    entries = [
        make_entry(ResultPosition("a", n, n), KEY, encode(result().model_copy(update={"completed_at": at})), HEADERS)
        for n, at in enumerate(moments)
    ]
    assert newest_of(entries) == entries[1]
    assert newest_of([]) is None
