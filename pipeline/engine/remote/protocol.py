"""The chat-completions protocol: reads responses. What is sent stands in request_body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field, JsonValue, ValidationError

from sightstream.pipeline.engine.remote.refusals import MAX_MESSAGE_CHARS, retryable
from sightstream.pipeline.errors import Fatal, Rejected
from sightstream.schemas.wire.dead_letter import Reason, Stage, printable
from sightstream.schemas.wire.question_answer import EndOfAnswer

_ENDINGS: dict[str, EndOfAnswer] = {"stop": "stop", "length": "length", "repetition": "repetition"}

T = TypeVar("T", bound=BaseModel)
Count = Annotated[int, Field(ge=0, lt=2**31)]


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str
    logprobs: JsonValue = None


class _Usage(BaseModel):
    prompt_tokens: Count
    completion_tokens: Count


class _Completion(BaseModel):
    """a chat completion"""

    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    """a list of models"""

    data: list[_Model]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the server; `logprobs` are as it sent them, and may be anything."""

    text: str
    finish_reason: EndOfAnswer
    prompt_tokens: int
    completion_tokens: int
    logprobs: JsonValue = None


def read_answer(body: bytes) -> Answer:
    """Read a response. Raises Retryable when it is no complete answer, Rejected for a refusal."""
    completion = _read(_Completion, body)
    choice, usage = completion.choices[0], completion.usage
    if choice.finish_reason == "content_filter" or (choice.message.refusal and not choice.message.content):
        raise Rejected(Reason.ENGINE_REFUSED, Stage.INFER, "the model server's content filter refuses this")
    if choice.finish_reason not in _ENDINGS:
        ended = printable(choice.finish_reason)[:40]
        raise retryable(f"ended the answer by {ended!r}")
    text = (choice.message.content or "").strip()
    reason = _ENDINGS[choice.finish_reason]
    return Answer(text, reason, usage.prompt_tokens, usage.completion_tokens, choice.logprobs)


def only_model(body: bytes) -> str:
    """Return the name of the model that a server lists. Raises Retryable when it lists none, Fatal when several."""
    names = [model.id for model in _read(_Models, body).data]
    if not names:
        raise retryable("lists no model")
    if len(names) > 1:
        some = printable(", ".join(names[:8]))[:MAX_MESSAGE_CHARS]
        raise Fatal(f"the model server has several models ({some}); choose one: SIGHTSTREAM_ENGINE_REMOTE_MODEL")
    return names[0]


def _read(model: type[T], body: bytes) -> T:
    """Parse a response. Raises Retryable with the field that is wrong and never with its value."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        location = ".".join(map(str, first["loc"])) or "body"
        detail = f"sent what is not {model.__doc__}: {location}: {first['msg']}"
        raise retryable(printable(detail)[:MAX_MESSAGE_CHARS]) from None
