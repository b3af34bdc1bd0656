"""The simulated engine answers in the time that a question asks for, so that answers overtake each other."""

from __future__ import annotations

import json
import pickle
import time
from dataclasses import replace

import jsonschema
import pytest

from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.simulated import SECONDS, SimulatedEngine
from sightstream.pipeline.engine.simulated_answer import CUT, INVALID, REPEAT
from sightstream.pipeline.errors import CapabilityMissing
from sightstream.pipeline.types import Completion, EngineJob, Pixels
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.response_format import ChoiceFormat, JsonSchema, JsonSchemaFormat, ResponseFormat


def job(number: int, question: str) -> EngineJob:
    return EngineJob(number, Pixels(b"rgb", 1, 1, "PNG"), question, AnalysisOptions())


def ended(engine: SimulatedEngine, count: int) -> list[int]:
    found: list[int] = []
    deadline = time.monotonic() + 30
    while len(found) < count and time.monotonic() < deadline:
        found += [each.id for each in engine.finished(0.05)]
    return found


def engine(max_batch: int = 4) -> SimulatedEngine:
    return SimulatedEngine(EngineSettings(kind="simulated", simulated_s=0, max_batch=max_batch), lambda: None)


def test_a_slow_answer_is_overtaken() -> None:
    simulated = engine()
    simulated.submit(job(1, SECONDS + "0.4 r000001"))
    for number in (2, 3):
        simulated.submit(job(number, "What is it?"))
    assert ended(simulated, 3) == [2, 3, 1]


def test_no_more_than_a_batch_is_answered_at_once() -> None:
    simulated = engine(max_batch=1)
    simulated.submit(job(1, SECONDS + "0.2"))
    simulated.submit(job(2, "What is it?"))
    assert ended(simulated, 2) == [1, 2]


def test_the_answer_does_not_depend_on_the_time() -> None:
    simulated = engine()
    simulated.submit(job(1, SECONDS + "0.1"))
    simulated.submit(job(2, SECONDS + "0.0"))
    texts: set[str] = set()
    while len(texts) == 0 or simulated._started:
        texts |= {each.outcome.text for each in simulated.finished(0.05) if isinstance(each.outcome, Completion)}
    assert len(texts) == 1


# --- answers to a format --------------------------------------------------------------------------------------

SCHEMA = {
    "type": "object",
    "properties": {
        "colour": {"enum": ["red", "blue", "green"]},
        "count": {"type": "integer", "minimum": 1, "maximum": 9},
        "parts": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3},
    },
    "required": ["colour", "count", "parts"],
    "additionalProperties": False,
}
JSON = JsonSchemaFormat(json_schema=JsonSchema(name="product", schema_=SCHEMA))
WINES = ChoiceFormat(choices=("red", "red wine", "青い", *(f"wine {number}" for number in range(40))))


def asked(question: str, wanted: ResponseFormat, number: int = 1, **changes: object) -> Completion:
    simulated = engine()
    asked_job = replace(job(number, question), response_format=wanted, reasons=False, stops_repetition=True)
    simulated.submit(replace(asked_job, **changes))  # type: ignore[arg-type]
    (finished,) = simulated.finished(1)
    assert isinstance(finished.outcome, Completion), finished.outcome
    return finished.outcome


def test_json_fits_and_depends_on_picture_and_question() -> None:
    pictures = [Pixels(bytes([shade]) * 3, 1, 1, "PNG") for shade in range(10)]
    texts = {asked(question, JSON, pixels=pixels).text for pixels in pictures for question in ("What?", "How many?")}
    assert len(texts) > 10
    for text in texts:
        jsonschema.validate(json.loads(text), SCHEMA)
        assert text == json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))


def test_each_plain_value_has_a_probability() -> None:
    completion = asked("What?", JSON)
    parts = json.loads(completion.text)["parts"]
    confidence = completion.confidence
    assert confidence.kind == "path"
    assert set(confidence.fields) == {"/colour", "/count", *(f"/parts/{index}" for index in range(len(parts)))}
    assert confidence.value is not None
    assert 0 < confidence.value < min(confidence.fields.values())


def test_a_choice_is_the_likeliest_and_all_sum_to_one() -> None:
    completions = [asked(f"What is {number}?", WINES) for number in range(30)]
    for completion in completions:
        confidence = completion.confidence
        listed = [each.probability for each in confidence.choices]
        assert (confidence.kind, len(listed)) == ("exact", 20)
        assert sum(listed) + (confidence.other or 0) == pytest.approx(1)
        assert completion.text == confidence.choices[0].value
        assert listed == sorted(listed, reverse=True)
    assert len({completion.text for completion in completions}) > 10


def test_reasoning_stands_beside_the_answer_and_counts() -> None:
    plain, reasoned = asked("What?", JSON), asked("What?", JSON, reasons=True)
    assert plain.reasoning is None
    assert reasoned.reasoning
    assert reasoned.text == plain.text
    assert reasoned.completion_tokens > plain.completion_tokens


@pytest.mark.parametrize("wanted", [JSON, WINES], ids=["json", "choice"])
def test_faults_on_request(wanted: ResponseFormat) -> None:
    assert asked(INVALID, wanted).finish_reason == "stop"
    assert asked(CUT, wanted).finish_reason == "length"
    assert asked(REPEAT, wanted).finish_reason == "repetition"
    for fault in (INVALID, CUT, REPEAT):
        text = asked(fault, wanted).text
        assert text not in WINES.choices
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)


def test_a_loop_that_nobody_ends_goes_on_to_the_limit() -> None:
    completion = asked(REPEAT, JSON, stops_repetition=False, options=AnalysisOptions(max_tokens=300))
    assert (completion.finish_reason, completion.completion_tokens) == ("length", 300)


def test_too_few_tokens_cut_the_json_and_say_so() -> None:
    completion = asked("What?", JSON, options=AnalysisOptions(max_tokens=4))
    assert (completion.finish_reason, completion.completion_tokens) == ("length", 4)
    with pytest.raises(json.JSONDecodeError):
        json.loads(completion.text)


def test_a_schema_that_no_value_was_found_for_names_the_capability() -> None:
    endless = JsonSchemaFormat(json_schema=JsonSchema(name="endless", schema_={"$ref": "#"}))
    simulated = engine()
    simulated.submit(replace(job(1, "What?"), response_format=endless))
    error = simulated.finished(1)[0].outcome
    assert isinstance(error, CapabilityMissing)
    assert (error.reason, error.stage, error.capability) == (Reason.ENGINE_REFUSED, Stage.INFER, "json_schema")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert isinstance(copy, CapabilityMissing)
    assert (str(copy), copy.reason, copy.capability) == (str(error), error.reason, error.capability)
    assert "json_schema" in str(copy)
