"""The text beside an offset: read back exactly, refused when damaged, empty when an operator reset the offsets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.consumers.kafka.offset_metadata import PREFIX, UnreadableMetadata, decode, encode

steps = st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), max_size=50)


@given(st.integers(0, 2**62), steps)
def test_round_trip(base: int, lengths: list[tuple[int, int]]) -> None:
    spans, position = [], base
    for unfinished, finished in lengths:
        spans.append((position + unfinished, position + unfinished + finished))
        position += unfinished + finished
    assert decode(encode(base, tuple(spans)), base) == tuple(spans)


def test_the_format_on_the_wire_stays() -> None:
    """A worker of another version reads this text: it must not change by a byte."""
    assert encode(10, ((12, 13),)) == "ss1:CgIB"
    base = 10**9
    assert encode(base, ((base + 1, base + 300), (base + 70_000, base + 70_001))) == "ss1:gJTr3AMBqwLEoAQB"


@given(st.text(max_size=60), st.integers(0, 10**9))
def test_any_text_is_read_or_refused(text: str, base: int) -> None:
    try:
        spans = decode(PREFIX + text, base)
    except UnreadableMetadata:
        return
    assert all(base < start < end for start, end in spans)


def test_metadata_is_bound_to_its_offset() -> None:
    with pytest.raises(UnreadableMetadata):
        decode(encode(10, ((12, 13),)), 11)


def test_an_operators_reset_reads_as_nothing_finished() -> None:
    """kafka-consumer-groups.sh and admin clients write an empty text beside the offset that they set."""
    assert decode("", 5) == decode(None, 5) == ()


@pytest.mark.parametrize("text", ["ss2:CgIB", "ss1", " ", "SS1:CgIB", "moved by hand", "\0"])
def test_a_text_of_another_version_or_program_stops_its_reader(text: str) -> None:
    """A newer worker wrote what it finished there: to start over from the offset would answer all of it twice."""
    with pytest.raises(UnreadableMetadata, match=r"offset 10 .*version.*reset the group's offsets"):
        decode(text, 10)


@given(st.text(min_size=1, max_size=60), st.integers(0, 10**9))
def test_no_text_but_ours_reads_as_nothing_finished(text: str, base: int) -> None:
    try:
        assert decode(text, base)
    except UnreadableMetadata:
        return
    assert text.startswith(PREFIX)


def test_two_hundred_single_gaps_stay_far_below_the_brokers_limit() -> None:
    spans = tuple((10**9 + 2 * i + 1, 10**9 + 2 * i + 2) for i in range(200))
    assert len(encode(10**9, spans)) < 600
