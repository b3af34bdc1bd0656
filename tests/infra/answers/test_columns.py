"""Flat rows: every value has a column of its own, and columns have different names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sightstream.infra.answers.columns import Column, column_names, flat_row, merged
from sightstream.infra.answers.values import AnswerParts
from tests.infra.answers.test_values import values


def named(*answers: AnswerParts) -> dict[str, object]:
    row = flat_row({"product_id": "p"}, answers)
    names = column_names(tuple(row))
    return {names[column]: value for column, value in row.items()}


def test_a_value_and_its_probability_stand_beside_each_other() -> None:
    look = AnswerParts("look", "answered", {"colour": "red", "size": {"w": 3}}, 0.5, {"/colour": 0.9})
    assert list(named(AnswerParts("kind", "answered", "mug", 0.75), look).items()) == [
        ("product_id", "p"),
        ("kind", "mug"),
        ("kind_confidence", 0.75),
        ("look.colour", "red"),
        ("look.colour_confidence", 0.9),
        ("look.size.w", 3),
        ("look_confidence", 0.5),
    ]


def test_a_question_without_an_answer_says_why() -> None:
    assert named(AnswerParts("kind", "skipped", None, None)) == {
        "product_id": "p",
        "kind": None,
        "kind_status": "skipped",
    }


def test_names_that_collide_get_an_underscore() -> None:
    answers = [
        AnswerParts("product_id", "answered", "mine"),
        AnswerParts("a", "answered", "x", 0.5),
        AnswerParts("a_confidence", "answered", "y"),
    ]
    assert named(*answers) == {
        "product_id": "p",
        "product_id_": "mine",
        "a": "x",
        "a_confidence_": 0.5,
        "a_confidence": "y",
    }


@given(st.lists(st.tuples(st.sampled_from(["a", "a_confidence", "a_status", "product_id"]), values), max_size=5))
def test_no_two_columns_have_one_name(answers: list[tuple[str, object]]) -> None:
    parts = [AnswerParts(name, "answered", value, 0.5) for name, value in dict(answers).items()]  # type: ignore[arg-type]
    row = flat_row({"product_id": "p"}, parts)
    names = column_names(tuple(row))
    assert len(set(names.values())) == len(row)


def test_columns_of_one_question_stay_together() -> None:
    first = flat_row({"product_id": "p"}, [AnswerParts("a", "answered", {"x": 1}), AnswerParts("b", "answered", 1)])
    second = flat_row({"product_id": "p"}, [AnswerParts("a", "answered", {"y": 1}, 0.5)])
    found = [column.path for column in merged([*first, *second])]
    assert found == [("product_id",), ("a", "x"), ("a", "y"), ("a",), ("b",)]
    assert merged([]) == ()
    assert Column(("a",), "confidence") in merged(second)
