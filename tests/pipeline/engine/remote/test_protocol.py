from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sightstream.pipeline.engine.prompt import PromptWriter
from sightstream.pipeline.engine.remote.protocol import Answer, only_model, read_answer
from sightstream.pipeline.engine.remote.refusals import error_for, retry_after_s
from sightstream.pipeline.engine.remote.request_body import defuse
from sightstream.pipeline.errors import Fatal, PipelineError, Rejected, Retryable
from sightstream.schemas.wire.result import FinishReason
from tests.pipeline.engine.remote.fake_server import completion

TOKENS = ["<|image|>", "<|eot_id|>", "<|im_start|>", "<s>", "</s>", "<image>", "<end_of_turn>", "<image_soft_token>",
          "[INST]", "[/INST]", "[IMG_BREAK]", "<\uff5cUser\uff5c>"]  # fmt: skip


@example(["<|", "[INST]", "|>"])
@given(st.lists(st.sampled_from([*TOKENS, "<", "<|", "|>", "image", " ", "[", "]"]), max_size=12))
def test_no_control_token_is_left(parts: list[str]) -> None:
    question = "".join(parts)
    left = defuse(question)
    assert [token for token in TOKENS if token in left] == []
    assert left.replace(" ", "") == question.replace(" ", "")


@pytest.mark.parametrize("question", ["What is it?", "Use <SUMMARY> & [1], a < b | c > d", "is 3<|x|, y|>2?", "<b>"])
def test_other_questions_stay_as_they_are(question: str) -> None:
    assert defuse(question) == question


class Processor:
    def __init__(self) -> None:
        self.tokenizer = self
        self.all_special_tokens = ["<|eot_id|>"]
        self.added_tokens_decoder = {0: "<|image|>", 1: "<|begin_of_text|>"}


def test_mllamas_tokens_are_broken_up_as_for_a_model_of_our_own() -> None:
    question = "<|image|> and <<|eot_id|>|> and <|begin_of_text|>?"
    assert defuse(question) == PromptWriter(Processor()).defuse(question)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["choices", "usage", "message", "content", "error", "detail", "code", "data", "id"]), inner
        )
    ),
    max_leaves=12,
)
bodies = st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode())


@given(bodies)
def test_any_body_is_an_answer_or_an_error_of_ours(body: bytes) -> None:
    for read in (read_answer, only_model):
        assert isinstance(_read_or_error(read, body), (Answer, str, PipelineError))


def _read_or_error(read: Callable[[bytes], object], body: bytes) -> object:
    try:
        return read(body)
    except PipelineError as error:
        return error if len(str(error)) < 400 else None


@given(st.integers(201, 599), bodies)
def test_any_refusal_has_an_error(status: int, body: bytes) -> None:
    error = error_for(status, Message(), body, "sk-1")
    assert isinstance(error, (Retryable, Rejected, Fatal))
    assert str(error).isprintable()
    assert len(str(error)) < 400


@given(st.text(), st.sampled_from(["stop", "length"]), st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1))
def test_what_was_said_is_read_back(text: str, reason: FinishReason, prompt: int, said: int) -> None:
    body = completion(text, reason, usage={"prompt_tokens": prompt, "completion_tokens": said})
    assert read_answer(json.dumps(body).encode()) == Answer(text.strip(), reason, prompt, said)


def headers(value: str | None) -> Message:
    made = Message()
    if value is not None:
        made["Retry-After"] = value
    return made


@pytest.mark.parametrize("value", [None, "", "-5", "soon", "1.5", "\u0664", "Wed, 99 Oct 2026 07:28:00 GMT", "0"])
def test_no_pause_where_none_is_asked_for(value: str | None) -> None:
    assert retry_after_s(headers(value)) == 0


def test_a_pause_is_a_number_of_seconds_or_a_date() -> None:
    assert retry_after_s(headers("7")) == 7
    assert retry_after_s(headers("9" * 5000)) >= 10**8
    assert 25 < retry_after_s(headers(format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True))) <= 30
    assert retry_after_s(headers("Wed, 21 Oct 2015 07:28:00 GMT")) == 0
