"""Keys are equal exactly where the answers are equal."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.pipeline.cache.key import answer_key, question_key
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.question import Condition, Question
from sightstream.schemas.wire.request import Detail
from sightstream.schemas.wire.response_format import (
    SECTIONS_FORMAT,
    ChoiceFormat,
    JsonSchema,
    JsonSchemaFormat,
    ResponseFormat,
)
from sightstream.schemas.wire.result import ModelIdentity
from tests.pipeline.samples import MODEL, key, request


def json_format(schema: dict[str, Any], name: str = "n") -> JsonSchemaFormat:
    return JsonSchemaFormat(json_schema=JsonSchema(name=name, schema_=schema))


AB = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}
BA = {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "string"}}}
FORMATS: list[ResponseFormat] = [
    SECTIONS_FORMAT,
    json_format(AB),
    json_format(BA),
    json_format(AB, "m"),
    ChoiceFormat(choices=("a", "b")),
    ChoiceFormat(choices=("b", "a")),
]


GREEDY = AnalysisOptions()


@dataclass(frozen=True)
class Asked:
    """Everything that a question's key is made from."""

    sha256s: tuple[str, ...] = (key(1),)
    text: str = "what?"
    options: AnalysisOptions = GREEDY
    response_format: ResponseFormat = SECTIONS_FORMAT
    reasoning: bool | None = None
    detail: Detail = "high"
    version: int = 2
    id: str = "q"

    @property
    def question(self) -> Question:
        return Question(id=self.id, text=self.text, response_format=self.response_format, reasoning=self.reasoning)

    @property
    def key(self) -> str | None:
        asked = request() if self.version == 1 else request(schema_version=2, detail=self.detail)
        return question_key(self.sha256s, self.question, self.options, asked)

    @property
    def deciding_parts(self) -> tuple[object, ...]:
        """What the answer depends on, stated independently of the code."""
        is_chosen = isinstance(self.response_format, ChoiceFormat) and not self.reasoning
        is_sampled = self.options.temperature > 0 and not is_chosen
        how = (self.options.temperature, self.options.top_p, self.options.seed) if is_sampled else ()
        form = json.dumps(self.response_format.model_dump(by_alias=True))
        detail = "high" if self.version == 1 else self.detail
        how_asked = (self.text, self.options.max_tokens, how, form, self.question.reasons)
        return (self.sha256s, detail, self.version, *how_asked)


options = st.builds(
    AnalysisOptions,
    max_tokens=st.integers(1, 4096),
    temperature=st.sampled_from([0.0, 1e-9, 0.5, 2.0]),
    top_p=st.sampled_from([0.1, 0.9, 1.0]),
    seed=st.none() | st.integers(0, 2**63 - 1),
)
asked = st.builds(
    Asked,
    sha256s=st.sampled_from([(key(1),), (key(2),), (key(1), key(2)), (key(2), key(1)), (key(1), key(1))]),
    text=st.sampled_from(["what?", "why?", "what? "]),
    options=st.sampled_from([AnalysisOptions(), AnalysisOptions(max_tokens=9)]) | options,
    response_format=st.sampled_from(FORMATS),
    reasoning=st.none() | st.booleans(),
    detail=st.sampled_from(["high", "low", "auto"]),
    version=st.sampled_from([1, 2]),
    id=st.sampled_from(["q", "r"]),
)


@given(asked, asked)
def test_equal_questions_and_only_they_have_equal_keys(one: Asked, other: Asked) -> None:
    if None not in (one.key, other.key):
        assert (one.key == other.key) == (one.deciding_parts == other.deciding_parts)


CHANGES: list[dict[str, object]] = [
    {"sha256s": (key(2),)},
    {"sha256s": (key(1), key(2))},
    {"text": "what? "},
    {"options": AnalysisOptions(max_tokens=9)},
    {"response_format": json_format(AB)},
    {"reasoning": False},
    {"detail": "low"},
    {"version": 1},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_each_part_decides(change: dict[str, Any]) -> None:
    assert Asked(**change).key != Asked().key


def test_the_order_of_images_and_of_a_formats_keys_decides() -> None:
    """The model writes the fields in the schema's order, and each of them depends on those before it."""
    assert Asked(sha256s=(key(1), key(2))).key != Asked(sha256s=(key(2), key(1))).key
    assert Asked(response_format=json_format(AB)).key != Asked(response_format=json_format(BA)).key


def test_neither_the_id_nor_the_condition_decides() -> None:
    when = Condition(question="earlier", in_=("mug",))
    conditional = Asked(id="other").question.model_copy(update={"when": when})
    version_2 = request(schema_version=2)
    assert question_key((key(1),), conditional, AnalysisOptions(), version_2) == Asked().key


@given(options, options)
def test_options_that_decide_nothing_do_not_change_the_key(one: AnalysisOptions, other: AnalysisOptions) -> None:
    first, second = Asked(options=one), Asked(options=other)
    if None not in (first.key, second.key):
        assert (first.key == second.key) == (first.deciding_parts == second.deciding_parts)


def test_random_sampling_has_a_key_only_with_a_seed() -> None:
    assert Asked(options=AnalysisOptions(temperature=0.1)).key is None
    assert Asked(options=AnalysisOptions(temperature=0.1, seed=7)).key is not None
    assert Asked(options=AnalysisOptions(temperature=0.0)).key is not None


def test_a_choice_is_never_sampled_and_the_reasoning_before_it_is() -> None:
    by_chance = Asked(options=AnalysisOptions(temperature=0.1), response_format=FORMATS[-1])
    assert by_chance.key == replace(by_chance, options=GREEDY).key is not None
    assert replace(by_chance, reasoning=True).key is None


def test_any_text_has_a_key() -> None:
    odd = ["é", "e\u0301", "\\ud800", '","options":{}', "\n"]
    assert len({replace(Asked(), text=text).key for text in odd}) == len(odd)


@pytest.mark.parametrize("field", ModelIdentity.model_fields)
def test_each_part_of_the_models_identity_changes_the_key(field: str) -> None:
    value = key("weights") if field == "weights_sha256" else "another"
    assert answer_key(key(), MODEL, "r") != answer_key(key(), MODEL.model_copy(update={field: value}), "r")


def test_the_question_and_the_fingerprint_change_the_key() -> None:
    assert len({answer_key(question, MODEL, fingerprint) for question in (key(1), key(2)) for fingerprint in "rs"}) == 4


def test_a_key_is_the_same_in_every_process_and_version() -> None:
    """Raise the version of the key rather than this."""
    question = Asked(("a" * 64,), options=AnalysisOptions(max_tokens=7), response_format=json_format(BA)).key
    assert question == "d2f2c34c1f55da98dc6f218fbf56addd8ed3582afd5f709eb2c012ebe21e9e25"
    assert answer_key(question, MODEL, "r") == "ec8abf7b2d972e6b85826e8a98f52bd5b657c3f5a729a4f50f139bac8fb2b790"
