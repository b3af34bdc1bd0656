"""JSON, choices, reasoning and several images at a model server: what it is asked, and what is made of its answer."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from sightstream.pipeline.constraints.value import parse_value
from sightstream.pipeline.engine.remote.abilities import REMEMBERED_S
from sightstream.pipeline.engine.remote.confidence import choice_confidence, json_confidence
from sightstream.pipeline.engine.remote.engine import RemoteEngine
from sightstream.pipeline.engine.remote.logprobs import read_logprobs
from sightstream.pipeline.errors import CapabilityMissing, Rejected
from sightstream.pipeline.types import Completion, EngineJob, Pixels
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.response_format import ChoiceFormat, JsonSchema, JsonSchemaFormat, ResponseFormat
from tests.pipeline.engine.remote.asking import ending, endings, job
from tests.pipeline.engine.remote.fake_server import Answer, FakeServer, Handler, completion, good, in_turn, says
from tests.pipeline.engine.remote.structured_server import REASONING, says_in_steps, structured, with_logprobs

pytestmark = pytest.mark.slow

SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "größe"]}, "count": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["colour", "count"],
    "additionalProperties": False,
}
JSON = JsonSchemaFormat(json_schema=JsonSchema(name="product", schema_=SCHEMA))
WINES = ChoiceFormat(choices=("red", "red wine", "blue", "grün"))


def asked(wanted: ResponseFormat = JSON, number: int = 1, **changes: Any) -> EngineJob:
    plain = job(number, **changes.pop("options", {}))
    return replace(plain, response_format=wanted, **({"reasons": False} | changes))


def good_ending(answer: Answer, question: EngineJob, **settings: object) -> Completion:
    outcome = ending(answer, question, **settings)
    assert isinstance(outcome, Completion), outcome
    return outcome


def exchange(question: EngineJob, answer: Answer = structured, **settings: object) -> list[dict[str, Any]]:
    """The bodies that the server gets."""
    with FakeServer(answer) as server:
        engine = RemoteEngine(server.settings(**settings), lambda: None)
        engine.submit(question)
        endings(engine, 1)
        engine.stop()
    return [each.body for each in server.questions]


# --- what the server is asked ---------------------------------------------------------------------------------


def test_a_schema_is_sent_as_openai_writes_it() -> None:
    (body,) = exchange(asked())
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "product", "strict": True, "schema": SCHEMA},
    }
    assert list(body["response_format"]["json_schema"]["schema"]["properties"]) == ["colour", "count"]
    assert body["logprobs"] is True
    assert "top_logprobs" not in body
    assert "Answer in JSON" in body["messages"][0]["content"][-1]["text"]


def test_choices_are_a_schema_or_vllms_own_field_and_never_sampled() -> None:
    question = asked(WINES, options={"temperature": 1.5, "top_p": 0.5})
    (body,) = exchange(question)
    assert body["response_format"]["json_schema"]["schema"]["properties"]["answer"]["enum"] == list(WINES.choices)
    assert (body["temperature"], body["top_p"], body["top_logprobs"]) == (0, 1, 20)
    (body,) = exchange(question, good, remote_choices="structured_outputs")
    assert body["structured_outputs"] == {"choice": list(WINES.choices)}
    assert "response_format" not in body


def test_nothing_new_is_sent_where_nothing_new_is_asked() -> None:
    (body,) = exchange(job(), good)
    assert set(body) == {"model", "messages", "max_tokens", "temperature", "top_p"}
    assert set(body["messages"][0]["content"][0]["image_url"]) == {"url"}


def test_all_images_are_sent_in_order_with_their_detail() -> None:
    more = tuple(Pixels(bytes([shade]) * 12, 2, 2, "PNG") for shade in range(15))
    (body,) = exchange(replace(job(), more_pixels=more, detail="low"), good)
    *images, text = body["messages"][0]["content"]
    assert len({image["image_url"]["url"] for image in images}) == 16
    assert {image["image_url"]["detail"] for image in images} == {"low"}
    assert text["type"] == "text"


def test_reasoning_is_a_turn_of_its_own_and_both_count() -> None:
    with FakeServer(structured) as server:
        engine = RemoteEngine(server.settings(), lambda: None)
        engine.submit(asked(reasons=True, options={"max_tokens": 100}))
        outcome = endings(engine, 1)[1]
        engine.stop()
    first, second = [each.body for each in server.questions]
    assert isinstance(outcome, Completion)
    assert "response_format" not in first
    assert first["max_tokens"] == 50
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "user"]
    assert second["messages"][1]["content"] == REASONING == outcome.reasoning
    spent = math.ceil(len(REASONING) / 3)
    assert second["max_tokens"] == 100 - spent
    assert outcome.completion_tokens == spent + math.ceil(len(outcome.text.encode()) / 3)
    assert outcome.prompt_tokens == 22
    assert parse_value(JSON, outcome.text).valid


# --- what is made of the answer -------------------------------------------------------------------------------


def test_each_json_value_has_a_probability_that_is_not_called_exact() -> None:
    steps = [
        ('{"colour":"', 1.0, {}),
        ("red", 0.8, {"gr": 0.2}),
        ('","count":', 1.0, {}),
        ("3", 0.5, {}),
        ("}", 1.0, {}),
    ]
    confidence = good_ending(says_in_steps(*steps), asked()).confidence
    assert confidence.kind == "top_logprobs"
    assert confidence.fields == pytest.approx({"/colour": 0.8, "/count": 0.5})
    assert confidence.value == pytest.approx(0.4)


RED = [('{"answer":', 1.0, {}), ('"', 1.0, {}), ("red", 0.6, {"blue": 0.2, "gr": 0.1, "I": 0.1})]


def test_red_beside_red_wine_is_decided_where_the_choice_ends() -> None:
    completed = good_ending(says_in_steps(*RED, ('"}', 0.75, {" wine": 0.25})), asked(WINES))
    assert completed.text == "red"
    assert completed.confidence.kind == "top_logprobs"
    found = {each.value: each.probability for each in completed.confidence.choices}
    whole = 0.6 + 0.2 + 0.1  # "I" leads to no choice
    expected = {"red": 0.45 / whole, "red wine": 0.15 / whole, "blue": 0.2 / whole, "grün": 0.1 / whole}
    assert found == pytest.approx(expected)
    assert completed.confidence.value == pytest.approx(0.45 / whole)
    assert completed.confidence.other == 0


def test_a_token_that_begins_several_choices_counts_for_none_of_them() -> None:
    steps = [('{"answer":"', 1.0, {}), ("blue", 0.7, {"red": 0.3}), ('"}', 1.0, {})]
    confidence = good_ending(says_in_steps(*steps), asked(WINES)).confidence
    assert {each.value: each.probability for each in confidence.choices} == pytest.approx({"blue": 0.7})
    assert confidence.other == pytest.approx(0.3)


def test_a_choice_alone_has_a_probability_where_its_end_shows() -> None:
    bare = {"remote_choices": "structured_outputs"}
    red, blue = says_in_steps(("red", 0.6, {"blue": 0.4})), says_in_steps(("blue", 0.6, {"gr": 0.4}))
    assert good_ending(red, asked(WINES), **bare).confidence.kind == "none"
    completed = good_ending(blue, asked(WINES), **bare)
    assert completed.text == "blue"
    assert completed.confidence.value == pytest.approx(0.6)


def test_an_end_token_of_the_model_is_no_part_of_the_text() -> None:
    body = completion('{"answer":"blue"}')
    content = [
        *[{"token": part, "logprob": -0.1} for part in ('{"answer":"', "blue", '"}')],
        {"token": "<|eot|>", "logprob": 0},
    ]
    confidence = good_ending(says(200, with_logprobs(body, content)), asked(WINES)).confidence
    assert confidence.value == pytest.approx(math.exp(-0.3))  # no alternative was sent: it may be any other choice


@pytest.mark.parametrize("wanted", [JSON, WINES], ids=["json", "choice"])
def test_a_server_that_ignores_the_format_is_caught_by_the_check(wanted: ResponseFormat) -> None:
    completed = good_ending(says(200, completion("It is a red mug, I think.")), asked(wanted))
    assert completed.text == "It is a red mug, I think."
    assert completed.confidence.kind == "none"
    assert not parse_value(wanted, completed.text).valid


def test_a_loop_is_called_so_only_where_it_is_asked_for() -> None:
    loop = says(200, completion("and so on and so on", "repetition"))
    assert good_ending(loop, asked(stops_repetition=True)).finish_reason == "repetition"
    assert good_ending(loop, job()).finish_reason == "length"


# --- what a server lacks --------------------------------------------------------------------------------------


def refuses(*names: str, otherwise: Answer = structured) -> Answer:
    """A server that answers 400 when one of these stands in the body."""

    def answer(handler: Handler) -> None:
        known = [name for name in names if name in handler.question.body]
        handler.reply(400, {"error": {"message": f"unknown field {known}"}}) if known else otherwise(handler)

    return answer


def test_a_server_without_log_probabilities_is_asked_without_them_from_then_on() -> None:
    with FakeServer(refuses("logprobs")) as server:
        engine = RemoteEngine(server.settings(max_batch=1), lambda: None)
        for number in range(3):
            engine.submit(asked(WINES, number))
        outcomes = endings(engine, 3)
        engine.stop()
    assert [each.body.get("top_logprobs") for each in server.questions] == [20, 5, None, None, None]
    assert all(isinstance(each, Completion) and each.confidence.kind == "none" for each in outcomes.values())


def test_a_server_with_few_log_probabilities_is_asked_for_few() -> None:
    def few(handler: Handler) -> None:
        says(400)(handler) if handler.question.body.get("top_logprobs", 0) > 5 else structured(handler)

    with FakeServer(few) as server:
        engine = RemoteEngine(server.settings(max_batch=1), lambda: None)
        formats: list[ResponseFormat] = [WINES, WINES, JSON]
        for number, wanted in enumerate(formats):
            engine.submit(asked(wanted, number))
        endings(engine, 3)
        engine.stop()
    assert [each.body.get("top_logprobs") for each in server.questions] == [20, 5, 5, None]
    assert server.questions[-1].body["logprobs"]


@pytest.mark.parametrize(("lacks", "wanted"), [("response_format", JSON), ("response_format", WINES)])
def test_a_server_without_schemas_is_asked_once(lacks: str, wanted: ResponseFormat) -> None:
    now = [1000.0]
    with FakeServer(refuses(lacks), probe=refuses(lacks, otherwise=good)) as server:
        engine = RemoteEngine(server.settings(max_batch=1), lambda: None, clock=lambda: now[0])
        engine.submit(asked(wanted))
        first, questions = endings(engine, 1)[1], len(server.questions)
        engine.submit(asked(wanted))
        second = endings(engine, 1)[1]
        assert len(server.questions) == questions
        now[0] += REMEMBERED_S
        engine.submit(asked(wanted))
        endings(engine, 1)
        engine.submit(job())
        plain = endings(engine, 1)[1]
        engine.stop()
    for error in (first, second):
        assert isinstance(error, CapabilityMissing)
        assert (error.capability, error.reason) == ("json_schema", Reason.ENGINE_REFUSED)
        assert "unknown field" in str(error)
    assert len(server.questions) > questions + 1
    assert isinstance(plain, Completion)


def test_one_schema_that_the_server_refuses_is_no_missing_capability() -> None:
    with FakeServer(in_turn(says(400, {"message": "schema too deep"}), says(400), structured)) as server:
        engine = RemoteEngine(server.settings(max_batch=1), lambda: None)
        engine.submit(asked())
        error = endings(engine, 1)[1]
        engine.submit(asked())
        assert isinstance(endings(engine, 1)[1], Completion)
        engine.stop()
    assert isinstance(error, Rejected)
    assert not isinstance(error, CapabilityMissing)
    assert "schema too deep" in str(error)


def test_a_server_for_one_image_says_so() -> None:
    def one_image(handler: Handler) -> None:
        many = len(handler.question.body["messages"][0]["content"]) > 2
        says(400, {"message": "At most 1 image"})(handler) if many else good(handler)

    with FakeServer(one_image, probe=one_image) as server:
        engine = RemoteEngine(server.settings(max_batch=1), lambda: None)
        engine.submit(replace(job(), more_pixels=(Pixels(bytes(12), 2, 2, "PNG"),)))
        error = endings(engine, 1)[1]
        engine.stop()
    assert isinstance(error, CapabilityMissing)
    assert error.capability == "several images"


# --- hostile log-probabilities --------------------------------------------------------------------------------

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(["red", '"', "}"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["content", "token", "bytes", "logprob", "top_logprobs"]), inner, max_size=5)
    ),
    max_leaves=20,
)
tokens = st.fixed_dictionaries(
    {"token": st.sampled_from(["red", " wine", '"', "blue", "", "\ud800"]), "logprob": st.floats() | values},
    optional={"bytes": st.lists(st.integers(-1, 256), max_size=4) | values, "top_logprobs": values},
)


@given(values | st.builds(lambda content: {"content": content}, st.lists(tokens, max_size=6)))
def test_any_log_probabilities_are_read_or_not(sent: JsonValue) -> None:
    for text in ("red", "red wine", "", '{"answer":"red"}', "\ud800"):
        found = read_logprobs(sent, text)
        if found is None:
            continue
        assert all(math.isfinite(each.logprob) and each.logprob <= 0 for each in found)
        for confidence in (
            json_confidence(text, found),
            choice_confidence(WINES.choices, "red", found, quoted=False),
            choice_confidence(WINES.choices, "red", found, quoted=True),
        ):
            assert confidence.value is None or 0 <= confidence.value <= 1


texts = st.sampled_from(["red", "red wine", "blue", "grün", "r", "gr", '"', " wine", "e", "x"])


@given(
    st.sampled_from(WINES.choices),
    st.lists(st.tuples(st.floats(0.01, 1), st.dictionaries(texts, st.floats(0.001, 1), max_size=6)), min_size=30),
    st.integers(1, 6),
)
def test_probabilities_of_choices_sum_to_one(
    choice: str, steps: list[tuple[float, dict[str, float]]], length: int
) -> None:
    text = json.dumps({"answer": choice}, ensure_ascii=False, separators=(",", ":"))
    pieces = [text[at : at + length] for at in range(0, len(text), length)]
    content: list[JsonValue] = [
        {
            "token": piece,
            "logprob": math.log(probability),
            "top_logprobs": [{"token": other, "logprob": math.log(each)} for other, each in others.items()],
        }
        for piece, (probability, others) in zip(pieces, steps, strict=False)
    ]
    found = read_logprobs({"content": content}, text)
    assert found is not None
    confidence = choice_confidence(WINES.choices, choice, found, quoted=True)
    assert confidence.kind == "top_logprobs"
    total = sum(each.probability for each in confidence.choices) + (confidence.other or 0)
    assert total == pytest.approx(1)
    assert {each.value for each in confidence.choices} <= set(WINES.choices)


def test_what_a_server_takes_out_around_an_answer_is_left_out_of_its_probability() -> None:
    """llama.cpp lets a model write its JSON between fences, and hands on what stands inside."""
    answer = ['{ "answer"', ' :\n\t"', "red", '"', " }"]
    content: list[JsonValue] = [
        {"token": piece, "logprob": math.log(0.5 if piece in answer else 0.01)}
        for piece in ["I think red.", "```", "json", "\n", *answer, "\n", "```", ""]
    ]
    found = read_logprobs({"content": content}, "".join(answer))
    assert found is not None
    assert [token.piece for token in found] == [b"\n", *(piece.encode() for piece in answer), b"\n", b""]
    assert json_confidence("".join(answer), found).fields == {"/answer": pytest.approx(0.5**3)}
    assert choice_confidence(WINES.choices, "red", found, quoted=True).kind == "top_logprobs"


def test_what_a_server_does_not_name_may_be_another_choice() -> None:
    def step(piece: str, probability: float, others: dict[str, float]) -> dict[str, JsonValue]:
        named: list[JsonValue] = [{"token": each, "logprob": math.log(p)} for each, p in others.items()]
        return {"token": piece, "logprob": math.log(probability), "top_logprobs": named}

    same_bytes: list[JsonValue] = [{"token": "red", "logprob": math.log(0.1)}] * 2
    steps: list[JsonValue] = [step("red", 0.1, {"The": 0.5}) | {"top_logprobs": same_bytes}, step("", 1, {"": 1})]
    found = read_logprobs({"content": steps}, "red")
    assert found is not None
    confidence = choice_confidence(("red", "blue"), "red", found, quoted=False)
    assert confidence.value == pytest.approx(0.2)
    assert confidence.other == pytest.approx(0.8)


@pytest.mark.parametrize("pieces", [["re"], ["bored"], ["re", "dy"], ["x", "red!"]])
def test_tokens_that_are_not_the_text_say_nothing_about_it(pieces: list[str]) -> None:
    content: list[JsonValue] = [{"token": piece, "logprob": -1.0} for piece in pieces]
    assert read_logprobs({"content": content}, "red") is None


def test_a_flood_of_log_probabilities_costs_little() -> None:
    long_text = " " * 100_000
    flood: list[JsonValue] = [
        {"token": " ", "logprob": -1.0, "top_logprobs": [{"token": "x", "logprob": -1.0}] * 1000}
    ] * 100_000
    assert read_logprobs({"content": flood}, long_text) is None
