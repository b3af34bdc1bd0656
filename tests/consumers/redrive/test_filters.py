"""Filters select what they say, and coordinates and times are read or refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.consumers.redrive.filters import Filter, OffsetRange, parse_range, parse_time
from sightstream.consumers.redrive.letter import DeadLetter, Record, parse_letter
from sightstream.schemas.wire.dead_letter import Headers, RecordId
from sightstream.schemas.wire.topics import record_key
from tests.consumers.redrive.samples import LETTERS, NOON, letter, request_value
from tests.schemas.wire.strategies import failures

SOURCE = RecordId("image.requests", 0, 0)
ranges = st.builds(
    OffsetRange,
    topic=st.none() | st.sampled_from(["a", "b"]),
    partition=st.integers(0, 2),
    first=st.integers(0, 5),
    last=st.none() | st.integers(0, 9),
)
filters = st.builds(
    Filter,
    reasons=st.frozensets(st.sampled_from(["malformed", "image_not_found"])),
    stages=st.frozensets(st.sampled_from(["take", "fetch"])),
    since=st.none() | st.just(NOON),
    until=st.none() | st.just(NOON),
    product=st.none() | st.sampled_from(["p-1", "p-2"]),
    request=st.none() | st.sampled_from(["r-1", "r-2"]),
    sources=st.lists(ranges, max_size=2).map(tuple),
    letters=st.lists(ranges, max_size=2).map(tuple),
)
dead_letters = st.builds(
    lambda failure, at, number, product: replace(
        letter(at, record_key(product), request_value(number, product)), failure=failure
    ),
    failures,
    st.builds(RecordId, st.sampled_from(["a", LETTERS]), st.integers(0, 2), st.integers(0, 9)),
    st.integers(1, 2),
    st.sampled_from(["p-1", "p-2"]),
)


@given(dead_letters)
def test_an_empty_filter_selects_everything(dead: DeadLetter) -> None:
    assert Filter().matches(dead)


@given(dead_letters, filters)
def test_a_filter_is_all_of_its_conditions(dead: DeadLetter, wanted: Filter) -> None:
    apart = [
        replace(Filter(), **{name: getattr(wanted, name)})
        for name in ("reasons", "stages", "since", "until", "product", "request", "sources", "letters")
    ]
    assert wanted.matches(dead) == all(one.matches(dead) for one in apart)


@given(dead_letters, st.lists(ranges, min_size=1, max_size=3))
def test_ranges_are_alternatives(dead: DeadLetter, some: list[OffsetRange]) -> None:
    either = any(Filter(letters=(one,)).matches(dead) for one in some)
    assert Filter(letters=tuple(some)).matches(dead) == either


def test_reasons_of_later_versions_are_text() -> None:
    dead = replace(letter(), failure=replace(letter().failure, reason="later_reason", stage="later_stage"))
    assert Filter(reasons=frozenset({"later_reason"}), stages=frozenset({"later_stage"})).matches(dead)
    assert not Filter(reasons=frozenset({"malformed"})).matches(dead)


def test_the_end_of_the_time_is_excluded_and_a_time_without_zone_is_utc() -> None:
    dead = letter()
    assert Filter(since=NOON).matches(dead)
    assert not Filter(until=NOON).matches(dead)
    naive = replace(dead, failure=replace(dead.failure, failed_at=NOON.replace(tzinfo=None)))
    assert Filter(since=NOON, until=NOON + timedelta(seconds=1)).matches(naive)


def test_a_product_is_the_key_or_stands_in_the_request() -> None:
    assert Filter(product="p-1").matches(letter(key=b"p-1", value=b"{not json"))
    assert Filter(product="p-1").matches(letter(key=None, value=request_value(0, "p-1")))
    assert not Filter(product="p-1").matches(letter(key=None, value=b"{not json"))
    assert Filter(request="r-7").matches(letter(value=request_value(7)))
    assert not Filter(request="r-7", product="p-2").matches(letter(value=request_value(7)))


@given(
    st.none() | st.from_regex(r"[a-zA-Z._-]{1,9}", fullmatch=True),
    st.integers(0, 99),
    st.integers(0, 99),
    st.integers(0, 9),
)
def test_ranges_are_read_as_they_are_written(topic: str | None, partition: int, first: int, more: int) -> None:
    prefix = f"{topic}/" if topic else ""
    last = first + more
    assert parse_range(f"{prefix}{partition}") == OffsetRange(topic, partition, 0, None)
    assert parse_range(f"{prefix}{partition}/{first}") == OffsetRange(topic, partition, first, first)
    assert parse_range(f"{prefix}{partition}/{first}-") == OffsetRange(topic, partition, first, None)
    found = parse_range(f"{prefix}{partition}/{first}-{last}")
    assert found == OffsetRange(topic, partition, first, last)
    for offset in (first, last):
        assert found.contains(RecordId(topic or "any", partition, offset))
    for at in (RecordId(topic or "any", partition, last + 1), RecordId(topic or "any", partition + 1, first)):
        assert not found.contains(at)


@pytest.mark.parametrize("text", ["", "x", "1/", "1/2-1", "1/-2", "/1/2", "a/b/c", "1/2/3/4", "1/²", "1/2\n"])
def test_another_text_is_no_range(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no range|ends before"):
        parse_range(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T12:00", NOON),
        ("2026-01-02T13:00:00+01:00", NOON),
        ("2026-01-02", NOON.replace(hour=0)),
        ("90s", NOON - timedelta(seconds=90)),
        ("2h", NOON - timedelta(hours=2)),
        ("1d", NOON - timedelta(days=1)),
    ],
)
def test_times_are_read(text: str, expected: datetime) -> None:
    assert parse_time(text, NOON) == expected
    assert parse_time(text, NOON).tzinfo is not None


@pytest.mark.parametrize("text", ["", "yesterday", "2x", "-1d", "999999999d", "2026-13-01"])
def test_another_text_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no time|too long ago"):
        parse_time(text, datetime(2026, 1, 1, tzinfo=UTC))


def test_a_record_without_a_failure_is_no_letter() -> None:
    at = RecordId(LETTERS, 0, 0)
    others: list[Headers | None] = [None, [], [("sightstream-reason", b"malformed")], [("sightstream-stage", None)]]
    for headers in others:
        assert parse_letter(Record(at, b"k", b"v", headers)) is None
