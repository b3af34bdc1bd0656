"""What engines rely on: which tokens may follow, when an answer ends, and masks of many answers at once."""

from __future__ import annotations

import numpy as np
import pytest

from sightstream.pipeline.constraints.token_constraint import fill_masks
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.response_format import SECTIONS_FORMAT, ChoiceFormat, ResponseFormat
from tests.pipeline.constraints.formats import ENDS, allowed, compiler, json_format, object_format, tokenizer, write

COLOUR = object_format(colour={"enum": ["red", "rose"]}, count={"type": "integer"})


def token(text: str) -> int:
    (only,) = tokenizer().encode(text, add_special_tokens=False)
    return int(only)


def test_only_what_fits_may_follow() -> None:
    constraint = compiler().start(COLOUR)
    write(constraint, '{"colour":"r')
    assert {token("e"), token("o")} <= set(allowed(constraint).tolist())
    assert token("a") not in allowed(constraint)


def test_an_answer_is_complete_where_an_end_may_follow() -> None:
    constraint = compiler().start(COLOUR)
    write(constraint, '{"colour":"red","count":12')
    assert not constraint.is_complete
    assert not ENDS & set(allowed(constraint).tolist())
    write(constraint, "}")
    assert constraint.is_complete
    assert constraint.must_end
    assert set(allowed(constraint).tolist()) == ENDS


def test_a_number_alone_may_end_and_may_go_on() -> None:
    constraint = compiler().start(json_format({"type": "integer"}))
    write(constraint, "12")
    assert constraint.is_complete
    assert not constraint.must_end
    assert {*ENDS, token("3")} <= set(allowed(constraint).tolist())


@pytest.mark.parametrize("end", sorted(ENDS))
def test_behind_an_end_nothing_follows_and_the_answer_stays_complete(end: int) -> None:
    constraint = compiler().start(json_format({"type": "integer"}))
    write(constraint, "12")
    constraint.accept(end)
    assert constraint.is_complete
    assert constraint.must_end
    with pytest.raises(ValueError, match="ended"):
        constraint.accept(token("3"))


def test_a_token_that_does_not_fit_is_an_error_and_an_early_end_as_well() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        compiler().start(COLOUR).accept(token("x"))
    with pytest.raises(ValueError, match="does not fit"):
        compiler().start(COLOUR).accept(min(ENDS))


def test_no_added_token_stands_inside_a_value() -> None:
    constraint = compiler().start(object_format(text={"type": "string"}))
    write(constraint, '{"text":"')
    added = set(tokenizer().get_added_vocab().values())
    assert added
    assert not added & set(allowed(constraint).tolist())


def test_half_a_character_is_completed() -> None:
    constraint = compiler().start(object_format(text={"type": "string"}))
    write(constraint, '{"text":"')
    first, second = tokenizer().encode("é", add_special_tokens=False)
    constraint.accept(first)
    assert second in allowed(constraint)
    assert token('"') not in allowed(constraint)
    assert token("a") not in allowed(constraint)


def test_a_choice_is_one_of_the_texts() -> None:
    constraint = compiler().start(ChoiceFormat(choices=("red", "red wine", 'an "é" / \\', "two\nlines")))
    write(constraint, "red")
    assert constraint.is_complete
    assert not constraint.must_end
    write(constraint, " wine")
    assert constraint.must_end
    for text in ('an "é" / \\', "two\nlines"):
        write(other := compiler().start(ChoiceFormat(choices=("red", text))), text)
        assert other.is_complete


def test_many_masks_are_filled_at_once_each_in_its_row() -> None:
    formats: list[ResponseFormat] = [COLOUR, json_format({"type": "integer"}), ChoiceFormat(choices=("red", "blue"))]
    constraints = [compiler().start(each) for each in formats]
    masks = np.full((4, compiler().mask_words), 7, np.int32)
    fill_masks(constraints, masks)
    for row, constraint in zip(masks, constraints, strict=False):
        alone = np.zeros((1, len(row)), np.int32)
        fill_masks([constraint], alone)
        assert (row == alone[0]).all()
    assert (masks[3] == 7).all()


def test_answers_of_one_format_do_not_disturb_each_other() -> None:
    one, other = compiler().start(COLOUR), compiler().start(COLOUR)
    write(one, '{"colour":"red","')  # in the tokens that the tokenizer itself would choose
    write(other, '{"colour":"ro')
    write(one, 'count":1}')
    assert one.is_complete
    assert not other.is_complete


def test_masks_that_do_not_fit_are_refused() -> None:
    constraint = compiler().start(COLOUR)
    with pytest.raises(ValueError, match="rows"):
        fill_masks([constraint] * 2, np.zeros((1, compiler().mask_words), np.int32))
    with pytest.raises(ValueError, match="contiguous"):
        fill_masks([constraint], np.zeros((1, compiler().mask_words), np.int64))


def test_pieces_are_the_bytes_of_the_text() -> None:
    tokens = [*tokenizer().encode("a é", add_special_tokens=False), min(ENDS)]
    pieces = compiler().pieces(tokens)
    assert b"".join(pieces) == "a é".encode()
    assert pieces[-1] == b""


def test_a_format_that_cannot_be_compiled_is_refused_and_sections_are_none() -> None:
    with pytest.raises(Rejected, match="not"):
        compiler().start(json_format({"not": {"type": "string"}}))
    with pytest.raises(ValueError, match="sections"):
        compiler().start(SECTIONS_FORMAT)
