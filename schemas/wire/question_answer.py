"""Defines the answer to one question of a request: its value, and how sure the model was of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from sightstream.schemas.wire.question import QuestionId
from sightstream.schemas.wire.result import Answer, TokenCounts
from sightstream.schemas.wire.text import Prose
from sightstream.schemas.wire.wire_model import WireModel

MAX_CHOICE_PROBABILITIES = 20

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
AnswerStatus = Literal["answered", "skipped", "invalid", "refused"]
ConfidenceKind = Literal["exact", "path", "top_logprobs", "none"]
EndOfAnswer = Literal["stop", "length", "repetition"]


class ChoiceProbability(WireModel):
    """A possible answer and its probability."""

    value: Prose = Field(description="The choice.")
    probability: Probability = Field(description="Its probability.")


class Confidence(WireModel):
    """Probabilities that the model gave to what it answered, before any temperature.

    They are the model's own, not the share of right answers: see the docs on calibration.
    """

    kind: ConfidenceKind = Field(
        description="exact: each choice was scored, and the probabilities of all sum to 1. path: the product over the "
        "tokens that were written, under the schema's constraints. top_logprobs: from the likeliest tokens that a "
        "server reports. none: the engine gives no probabilities."
    )
    value: Probability | None = Field(default=None, description="Probability of the whole value.")
    choices: tuple[ChoiceProbability, ...] = Field(
        default=(), max_length=MAX_CHOICE_PROBABILITIES, description="The likeliest choices, best first."
    )
    other: Probability | None = Field(default=None, description="Probability of all choices that are not listed.")
    fields: dict[str, Probability] = Field(
        default_factory=dict,
        description="Probability of each plain value inside the JSON, given what stands before it. The keys are JSON "
        "Pointers (RFC 6901), such as /colour.",
    )


NO_CONFIDENCE = Confidence(kind="none")


class QuestionAnswer(WireModel):
    """The answer to one question."""

    id: QuestionId = Field(description="Id of the question.")
    question: Prose = Field(description="The question, as asked.")
    status: AnswerStatus = Field(
        description="answered: the value is good. invalid: the model's text is no value of the format. skipped: its "
        "condition was not met. refused: the engine cannot answer it; the detail says why."
    )
    detail: Prose | None = Field(default=None, description="Why there is no value.")
    value: JsonValue = Field(
        default=None, description="The JSON value, the choice, or the conclusion where the format is sections."
    )
    valid: bool = Field(default=False, description="Whether the value fits the format.")
    confidence: Confidence = Field(default=NO_CONFIDENCE, description="How probable the model found the value.")
    finish_reason: EndOfAnswer | None = Field(
        default=None, description='"stop" at the end of the answer, "length" at max_tokens, "repetition" in a loop.'
    )
    sections: Answer | None = Field(default=None, description="The four sections, where the format is sections.")
    reasoning: Prose | None = Field(default=None, description="What the model wrote before a constrained answer.")
    raw_text: Prose = Field(default="", description="The text as the model wrote it.")
    tokens: TokenCounts | None = Field(default=None, description="Token counts of this answer.")
    cached: bool = Field(default=False, description="Whether the answer came from the cache.")
