"""Probabilities of tokens become those of values and choices."""

from __future__ import annotations

import json
import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.pipeline.constraints.choice_confidence import choice_confidence
from sightstream.pipeline.constraints.path_confidence import path_confidence
from sightstream.schemas.wire.question_answer import NO_CONFIDENCE
from tests.pipeline.constraints.test_value import VALUES

SCORES = st.floats(-1000, 0)


def split(text: str, seed: int) -> list[bytes]:
    """Cut the text into pieces anywhere, in the middle of characters as well, and add the end token's."""
    data, rng = text.encode(), random.Random(seed)
    cuts = sorted({0, len(data), *(rng.randrange(len(data) + 1) for _ in range(len(data) // 3))})
    return [data[start:end] for start, end in pairwise(cuts)] + [b""]


def pointers(value: object, path: str = "") -> dict[str, object]:
    """Return the plain values by their JSON Pointers, as RFC 6901 says."""
    if isinstance(value, dict):
        steps: list[tuple[str, object]] = list(value.items())
    elif isinstance(value, list):
        steps = [(str(index), inner) for index, inner in enumerate(value)]
    else:
        return {path: value}
    found: dict[str, object] = {}
    for step, inner in steps:
        found |= pointers(inner, f"{path}/{step.replace('~', '~0').replace('/', '~1')}")
    return found


@given(VALUES, st.integers(0, 99), st.booleans())
def test_each_plain_value_has_the_product_of_its_pieces(value: object, seed: int, is_spaced: bool) -> None:
    text = json.dumps(value, ensure_ascii=False, separators=(", ", ": ") if is_spaced else (",", ":"))
    pieces = split(text, seed)
    logprobs = [-0.01 * (index % 7) for index in range(len(pieces))]
    confidence = path_confidence(text, pieces, logprobs)
    assert confidence.kind == "path"
    assert set(confidence.fields) == set(pointers(value))
    whole = confidence.value
    assert whole is not None
    assert whole == pytest.approx(math.exp(sum(logprobs)))
    assert all(whole <= each <= 1 for each in confidence.fields.values())


def test_a_value_is_what_it_was_written_in_with_what_ends_it() -> None:
    pieces = [b'{"', b"a", b'":', b'"re', b'd"', b',"b":', b"12", b"3", b"}", b""]
    logprobs = [math.log(p) for p in (1, 1, 0.9, 0.5, 0.8, 0.7, 0.6, 0.5, 0.4, 1)]
    fields = path_confidence('{"a":"red","b":123}', pieces, logprobs).fields
    assert fields == {"/a": pytest.approx(0.5 * 0.8), "/b": pytest.approx(0.6 * 0.5 * 0.4)}


def test_a_piece_over_a_border_belongs_to_both_values() -> None:
    pieces = [b"[", b"1,2", b"]", b""]
    fields = path_confidence("[1,2]", pieces, [0, math.log(0.5), math.log(0.5), 0]).fields
    assert fields == {"/0": pytest.approx(0.5), "/1": pytest.approx(0.25)}


def test_a_number_alone_ends_with_the_end_token() -> None:
    confidence = path_confidence("12", [b"12", b""], [math.log(0.5), math.log(0.5)])
    assert confidence.fields == {"": pytest.approx(0.25)}


@pytest.mark.parametrize("last", [b'"re', b'"', b"12", b"tru", b"-", b"", b'["x'])
def test_a_cut_answer_has_what_was_whole(last: bytes) -> None:
    pieces = [b'{"a":', b"true", b',"b":', last]
    confidence = path_confidence(b"".join(pieces).decode(), pieces, [0, -0.1, 0, 0])
    assert set(confidence.fields) == {"/a"}


@pytest.mark.parametrize("logprobs", [[0.0], [0.0, math.nan], [0.0, 0.0, 0.0]])
def test_nothing_is_known_of_scores_that_are_none(logprobs: list[float]) -> None:
    assert path_confidence("12", [b"12", b""], logprobs) == NO_CONFIDENCE


def test_nothing_is_known_where_the_pieces_are_another_text() -> None:
    assert path_confidence("12", [b"13", b""], [0.0, 0.0]) == NO_CONFIDENCE
    assert path_confidence("\ud800", [b"1", b""], [0.0, 0.0]) == NO_CONFIDENCE
    assert path_confidence("12", [b" 12\n", b""], [0.0, 0.0]).kind == "path"


@given(st.lists(SCORES, min_size=2, max_size=64))
def test_choices_sum_to_one_and_the_likeliest_come_first(scores: list[float]) -> None:
    names = [f"choice {index}" for index in range(len(scores))]
    confidence = choice_confidence(names, scores)
    listed = [each.probability for each in confidence.choices]
    assert confidence.kind == "exact"
    assert sum(listed) + (confidence.other or 0) == pytest.approx(1)
    assert listed == sorted(listed, reverse=True)
    assert len(listed) == min(20, len(scores))
    assert confidence.value == listed[0]
    assert confidence.choices[0].value == names[scores.index(max(scores))]


def test_probabilities_are_divided_by_their_sum() -> None:
    confidence = choice_confidence(["red", "red wine"], [math.log(0.02), math.log(0.06)])
    assert [each.value for each in confidence.choices] == ["red wine", "red"]
    assert [each.probability for each in confidence.choices] == pytest.approx([0.75, 0.25])


@pytest.mark.parametrize("scores", [[-math.inf, -math.inf], [math.nan, 0.0], [0.0], [0.0, math.nan]])
def test_scores_that_are_none_are_refused(scores: list[float]) -> None:
    with pytest.raises(ValueError, match="score"):
        choice_confidence(["a", "b"], scores)


def test_an_impossible_choice_has_no_probability() -> None:
    confidence = choice_confidence(["a", "b"], [-math.inf, -3.0])
    assert [each.probability for each in confidence.choices] == [1.0, 0.0]
