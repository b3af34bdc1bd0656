"""The marker of a redriven dead letter and the history of a request: what is written is read back, nothing else is."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.dead_letter import Failure, Headers, Reason, RecordId, Stage
from sightstream.schemas.wire.redrive import HISTORY_PREFIX, History, LetterId, decode_marker, history_headers
from tests.schemas.wire.strategies import failures, histories, letters, markers

any_headers = st.lists(
    st.tuples(
        st.sampled_from([HISTORY_PREFIX + name for name in ("count", "letter", "first-source", "more")]) | st.text(),
        st.none() | st.binary(max_size=40),
    )
)


@given(letters)
def test_a_letter_is_named_by_text_that_leads_back_to_it(letter: LetterId) -> None:
    assert LetterId.parse(str(letter)) == letter


@pytest.mark.parametrize("text", ["", "t/i/1", "t/i/1/2/3", "t//1/2", "t/i/-1/2", "t/i/1/²", "t/i/1/2\n", "ä/i/1/2"])
def test_other_text_names_no_letter(text: str) -> None:
    with pytest.raises(ValueError, match="not the coordinates"):
        LetterId.parse(text)


@pytest.mark.parametrize("topic_id", ["a/b", "a+b", "a=", "", "ü", "x" * 65])
def test_a_letter_that_could_not_be_recognised_again_is_not_made(topic_id: str) -> None:
    with pytest.raises(ValueError, match="not the coordinates"):
        LetterId("t", topic_id, 0, 0)


@given(markers)
def test_a_marker_is_read_as_it_was_written(marker: bytes) -> None:
    assert encode(decode_marker(marker)) == marker


@pytest.mark.parametrize(
    "change", [{"state": "lost"}, {"schema_version": 2}, {"redrives": -1}, {"at": "noon"}, {"more": 1}, {"run": ""}]
)
def test_another_value_is_no_marker(change: dict[str, object]) -> None:
    marker = {"schema_version": 1, "state": "parked", "redrives": 3, "run": "r", "at": "2026-01-02T12:00:00Z"}
    assert decode_marker(json.dumps(marker).encode()).state == "parked"
    with pytest.raises(ValueError, match="not a marker"):
        decode_marker(json.dumps(marker | change).encode())


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader_of_markers(value: bytes) -> None:
    with pytest.raises(ValueError, match="not a marker"):
        decode_marker(value)


@given(histories, any_headers)
def test_a_history_outlives_whatever_else_is_in_the_headers(history: History, others: Headers) -> None:
    assert History.from_headers(others + history.headers()) == history
    assert history_headers(others + history.headers()) == history.headers()


@given(any_headers)
def test_headers_without_a_whole_history_have_none(headers: Headers) -> None:
    assert History.from_headers(headers) is None
    assert history_headers(headers) == []


@pytest.mark.parametrize("name", ["count", "letter", "first-source", "first-reason", "first-failed-at"])
@pytest.mark.parametrize("value", [b"", b"-1", b"0", "²".encode(), b"\xff", b"9" * 5000, b"a/b\n", None])
def test_a_forged_history_is_no_history(name: str, value: bytes | None) -> None:
    letter = LetterId("dead", "id", 1, 2)
    failure = Failure(Reason.MALFORMED, Stage.TAKE, "", 1, datetime(2026, 1, 2, tzinfo=UTC), RecordId("t", 0, 7))
    headers = dict(History.next_of(letter, failure, None).headers()) | {HISTORY_PREFIX + name: value}
    assert History.from_headers(list(headers.items())) is None


@given(failures, failures, letters, letters)
def test_the_first_failure_stays_and_the_count_grows(first: Failure, second: Failure, a: LetterId, b: LetterId) -> None:
    once = History.next_of(a, first, None)
    twice = History.next_of(b, second, once)
    assert (once.count, twice.count) == (1, 2)
    assert (twice.letter, twice.first_source, twice.first_reason) == (b, once.first_source, once.first_reason)
