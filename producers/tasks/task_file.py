"""Defines the layout of a task file, which is TOML."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from sightstream.schemas.wire.options import AnalysisOptions, MaxTokens, Seed, Temperature, TopP
from sightstream.schemas.wire.question import Condition, QuestionId, QuestionText
from sightstream.schemas.wire.request import MAX_QUESTIONS, Detail
from sightstream.schemas.wire.response_format import MAX_CHOICES, Choice
from sightstream.schemas.wire.text import Prose
from sightstream.schemas.wire.wire_model import WireModel

TaskName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
FORMATS = ("choices", "schema", "schema_file")


class TaskQuestion(WireModel):
    """One of a task's questions. Without a format its answer has the four sections."""

    id: QuestionId = Field(description="Name of the question, unique in its task.")
    text: QuestionText = Field(
        description="The question. `{column}` is replaced by the row's value; write braces as `{{` and `}}`."
    )
    choices: tuple[Choice, ...] | None = Field(
        default=None, min_length=2, max_length=MAX_CHOICES, description="Format: one of these texts."
    )
    schema_: dict[str, Any] | str | None = Field(
        default=None, alias="schema", description="Format: JSON to this JSON Schema, a table or JSON in a string."
    )
    schema_file: str | None = Field(
        default=None, description="Format: JSON to the JSON Schema in this file, relative to the task file's folder."
    )
    reasoning: bool | None = Field(
        default=None, description="Whether the model reasons first; by default only where it writes four sections."
    )
    max_tokens: MaxTokens | None = Field(default=None, description="Most tokens that this answer may have.")
    temperature: Temperature | None = Field(default=None, description="Randomness of this answer.")
    top_p: TopP | None = Field(default=None, description="Total probability of the tokens that may be picked.")
    seed: Seed | None = Field(default=None, description="Seed of this answer.")
    when: Condition | None = Field(
        default=None, description="Earlier question, `field` of its JSON, and the answers (`in`) after which to ask."
    )

    @model_validator(mode="after")
    def _check_formats(self) -> TaskQuestion:
        given = [name for name in FORMATS if getattr(self, "schema_" if name == "schema" else name) is not None]
        if len(given) > 1:
            raise ValueError(f"give only one of {' and '.join(given)}")
        return self


class TaskFile(WireModel):
    """A task file. The keys of the file are exactly these."""

    name: TaskName = Field(description="Name of the task, which every result carries.")
    description: Prose = Field(default="", description="What the task is for, in a sentence.")
    detail: Detail = Field(
        default="high", description="high: the model's own resolution; low: one tile, several times as fast."
    )
    options: AnalysisOptions = Field(
        default=AnalysisOptions(), description="What the questions leave open: max_tokens, temperature, top_p, seed."
    )
    questions: tuple[TaskQuestion, ...] = Field(
        min_length=1, max_length=MAX_QUESTIONS, description="The questions, in the order in which they are asked."
    )
