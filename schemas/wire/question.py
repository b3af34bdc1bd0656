"""Defines one of a request's questions: its text, the format of its answer, and when it is asked."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from sightstream.schemas.wire.options import AnalysisOptions, MaxTokens, Seed, Temperature, TopP
from sightstream.schemas.wire.response_format import SECTIONS_FORMAT, ResponseFormat, SectionsFormat
from sightstream.schemas.wire.text import Prose
from sightstream.schemas.wire.wire_model import WireModel

QuestionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")]
QuestionText = Annotated[Prose, StringConstraints(min_length=1, max_length=8192)]
FieldName = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]
Scalar = bool | int | float | Annotated[str, StringConstraints(max_length=1024, pattern=r"^[^\x00]*$")] | None

# The id of the only question of a request that names none.
ONLY_QUESTION = "answer"


class Condition(WireModel):
    """Asks a question only where an earlier one was answered so. A type counts: 1 is neither "1" nor true."""

    question: QuestionId = Field(description="Id of an earlier question.")
    field: FieldName | None = Field(
        default=None, description="Field of its JSON answer, at the top level; without one, the answer itself."
    )
    in_: tuple[Scalar, ...] = Field(
        alias="in", min_length=1, max_length=64, description="The answers after which this question is asked."
    )


class Question(WireModel):
    """One question about a request's images. What it leaves open of the options is taken from the request's."""

    id: QuestionId = Field(description="Name of the question, unique in its request.")
    text: QuestionText = Field(description="The question, in natural language.")
    response_format: ResponseFormat = Field(default=SECTIONS_FORMAT, description="Format of the answer.")
    reasoning: bool | None = Field(
        default=None,
        description="Whether the model reasons freely before the answer proper, which alone is bound to the format. "
        "The default is true for sections, else false.",
    )
    max_tokens: MaxTokens | None = Field(default=None, description="Most tokens that this answer may have.")
    temperature: Temperature | None = Field(default=None, description="Randomness of this answer.")
    top_p: TopP | None = Field(default=None, description="Total probability of the tokens that may be picked.")
    seed: Seed | None = Field(default=None, description="Seed of this answer.")
    when: Condition | None = Field(default=None, description="Condition without which the question is skipped.")

    @property
    def reasons(self) -> bool:
        """Whether the model reasons before its answer proper."""
        return isinstance(self.response_format, SectionsFormat) if self.reasoning is None else self.reasoning

    def options(self, of_request: AnalysisOptions) -> AnalysisOptions:
        """Return the options that this answer is generated with."""
        own = {"max_tokens": self.max_tokens, "temperature": self.temperature, "top_p": self.top_p, "seed": self.seed}
        return of_request.model_copy(update={name: value for name, value in own.items() if value is not None})
