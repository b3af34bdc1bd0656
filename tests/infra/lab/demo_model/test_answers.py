"""Answers: labels survive the trip through text, contradictions never count as right, questions never repeat."""

import random
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightstream.infra.lab.demo_model.answers import (
    CONFLICT,
    FAMILIES,
    Family,
    answer_text,
    labels_from_answer,
    split_sections,
)
from sightstream.infra.lab.demo_model.pictures import sample_spec
from sightstream.infra.lab.demo_model.questions import sample_long_question, sample_question
from sightstream.infra.lab.demo_model.wordings import TEMPLATES, TEST, TRAIN, UNSEEN_TEMPLATES

ANSWER = (
    "<SUMMARY>I will describe the product in the picture.</SUMMARY><CAPTION>Two red striped mugs.</CAPTION>"
    "<REASONING>The shape is a mug, the colour is red and the surface is striped. I count 2. I see no tag. "
    "I see no damage.</REASONING><CONCLUSION>Two red striped mugs.</CONCLUSION>"
)


@given(seed=st.integers(0, 2**32), family=st.sampled_from(FAMILIES))
@settings(max_examples=300, deadline=None)
def test_labels_survive_the_trip_through_text(seed: int, family: Family) -> None:
    labels = sample_spec(random.Random(seed), "test").labels
    sections = split_sections(answer_text(labels, family))
    assert labels_from_answer(**sections) == asdict(labels)


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_any_text_can_be_read(caption: str, reasoning: str, conclusion: str) -> None:
    claims = labels_from_answer("", caption, reasoning, conclusion)
    assert set(claims) == {"kind", "colour", "pattern", "count", "price", "damage", "sale"}


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("<CONCLUSION>Two red", "<CONCLUSION>Three red", "count"),
        ("<CONCLUSION>Two red", "<CONCLUSION>Two blue", "colour"),
        ("mugs.</CONCLUSION>", "hats.</CONCLUSION>", "kind"),
        ("mugs.</CONCLUSION>", "mugs, dotted.</CONCLUSION>", "pattern"),
        ("I see no tag.", "The tag reads $5. Or $6.", "price"),
        ("I see no damage.", "I see a scratch and a stain.", "damage"),
    ],
)
def test_a_contradiction_is_no_answer(old: str, new: str, key: str) -> None:
    changed = ANSWER.replace(old, new)
    assert changed != ANSWER
    assert labels_from_answer(**split_sections(changed))[key] == CONFLICT


def test_unclosed_sections_are_left_out() -> None:
    assert set(split_sections(ANSWER[: ANSWER.index("</REASONING>")])) == {"summary", "caption"}


@pytest.mark.parametrize("family", FAMILIES)
def test_there_are_thousands_of_wordings(family: Family) -> None:
    rng = random.Random(0)
    assert len({sample_question(rng, family) for _ in range(6000)}) > 4000


def test_training_and_test_wordings_do_not_meet() -> None:
    for family in FAMILIES:
        assert not set(TEMPLATES[family]) & set(UNSEEN_TEMPLATES[family])
    for name in ("openers", "closers", "preambles", "foreign", "other_tasks"):
        assert not set(getattr(TRAIN, name)) & set(getattr(TEST, name))


def test_long_questions_are_long() -> None:
    assert len(sample_long_question(random.Random(0), "price")) > 150
