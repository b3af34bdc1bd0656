"""The questions for JSON and choices that the demo model is trained on have true answers that fit their formats."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.infra.lab.demo_model.evaluate_formats import compare, conclusion_of
from sightstream.infra.lab.demo_model.format_wordings import UNSEEN_ATTRIBUTES, YES_OR_NO
from sightstream.infra.lab.demo_model.formats import (
    OPENING,
    FormatQuestion,
    basics_question,
    choice_of,
    product_basics,
    sample_format_question,
)
from sightstream.infra.lab.demo_model.pictures import COLOURS, KINDS, Labels, PictureSpec, sample_spec
from sightstream.infra.lab.demo_model.unusual_schemas import unusual_question
from sightstream.pipeline.constraints.format_check import check_format
from sightstream.pipeline.constraints.value import parse_value
from sightstream.pipeline.engine.format_prompt import with_format
from sightstream.producers.tasks.read import find_task
from sightstream.schemas.wire.response_format import ChoiceFormat, JsonSchemaFormat

MUG = Labels("mug", "red", "striped", 2, "$24.99", "scratch", False)
SEEDS = st.integers(0, 2**32)


def _question(seed: int) -> tuple[PictureSpec, FormatQuestion]:
    rng = random.Random(seed)
    spec = sample_spec(rng)
    return spec, sample_format_question(rng, spec.labels)


@given(SEEDS)
def test_every_true_answer_fits_its_format(seed: int) -> None:
    _, asked = _question(seed)
    parsed = parse_value(asked.response_format, conclusion_of(asked, asked.answer))
    assert parsed.valid, parsed.problem


@given(SEEDS)
def test_json_names_what_the_picture_shows(seed: int) -> None:
    spec, asked = _question(seed)
    if isinstance(asked.response_format, JsonSchemaFormat) and spec.labels.kind in KINDS:
        value = json.loads(conclusion_of(asked, asked.answer))
        for names, true in ((("colour", "color"), spec.labels.colour), (("count",), spec.labels.count)):
            assert all(value[name] in (true, "other") for name in names if name in value)


@given(SEEDS)
def test_reasoning_keeps_the_four_sections(seed: int) -> None:
    _, asked = _question(seed)
    tags = ("</SUMMARY><CAPTION>", "</CAPTION><REASONING>", "</REASONING><CONCLUSION>", "</CONCLUSION>")
    assert all((tag in asked.answer) == (asked.opening == OPENING) for tag in tags)


def test_the_prompt_is_what_engines_write() -> None:
    _, asked = _question(11)
    assert asked.prompt == with_format(asked.question, asked.response_format)
    assert "\nAnswer " in asked.prompt


@given(SEEDS)
def test_a_true_name_is_always_among_the_values(seed: int) -> None:
    values, said = choice_of(random.Random(seed), tuple(COLOURS), "red", ("unknown", "none"))
    assert said in values
    assert said in ("red", "other", "unknown", "none")
    assert ("red" in values) == (said == "red")


@given(SEEDS)
def test_what_is_nothing_known_is_called_so_where_the_values_allow_it(seed: int) -> None:
    values, said = choice_of(random.Random(seed), KINDS, None, ("none", "unknown"))
    named = {"none", "unknown", "other"} & set(values)
    assert said in (named or values)


def test_yes_and_no_follow_the_picture() -> None:
    truths = {template: truth(MUG) for truth, templates in YES_OR_NO for template in templates}
    assert truths["is it damaged"]
    assert not truths["is the {item} intact"]
    assert truths["is it scratched"]
    assert not truths["is it torn"]
    assert truths["is there a price tag"]
    assert not truths["is it on sale"]
    assert truths["does it have stripes"]


def test_the_shipped_task_is_the_one_that_is_trained() -> None:
    (question,) = find_task("product-basics").questions
    mine = product_basics().json_schema.schema_
    assert isinstance(question.response_format, JsonSchemaFormat)
    assert with_format("", question.response_format) == with_format("", product_basics())
    assert list(question.response_format.json_schema.schema_["properties"]) == list(mine["properties"])


def test_the_answer_to_the_basics() -> None:
    said = basics_question(random.Random(1), MUG, "train").answer
    assert said == '{"kind":"mug","colour":"red","pattern":"striped","count":2,"has_text":true}'


@pytest.mark.parametrize("seed", range(20))
def test_schemas_that_are_never_trained_can_be_used(seed: int) -> None:
    rng = random.Random(seed)
    asked = unusual_question(rng, sample_spec(rng))
    check_format(asked.response_format)
    assert parse_value(asked.response_format, asked.answer).valid


def test_unseen_wordings_are_not_trained() -> None:
    trained = {_question(seed)[1].question.lower() for seed in range(400)}
    assert not any(template.partition("{")[0] in text for template in UNSEEN_ATTRIBUTES for text in trained)


def test_choices_hold_the_answer() -> None:
    asked = [_question(seed)[1] for seed in range(200)]
    choices = [each for each in asked if isinstance(each.response_format, ChoiceFormat)]
    assert len(choices) > 40
    for each in choices:
        assert isinstance(each.response_format, ChoiceFormat)
        assert conclusion_of(each, each.answer) in each.response_format.choices


def test_values_are_compared_by_pointer() -> None:
    assert compare('{"a":{"b":1},"c":[2]}', '{"a":{"b":1},"c":[3]}') == {"a/b": True, "c": False}
    assert compare('{"a":1}', "no JSON") == {"a": False}
    assert compare("red", "red") == {"answer": True}
