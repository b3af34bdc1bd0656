"""Defines the formats that an answer may have: four sections, JSON to a schema, or one of several choices."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

from sightstream.schemas.wire.text import Prose
from sightstream.schemas.wire.wire_model import WireModel

MAX_CHOICES = 64

SchemaName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
Choice = Annotated[Prose, StringConstraints(min_length=1, max_length=256)]


class SectionsFormat(WireModel):
    """The four sections of a LLaVA-CoT answer: summary, caption, reasoning, conclusion."""

    type: Literal["sections"] = Field(default="sections", description="Name of the format.")


class JsonSchema(WireModel):
    """A JSON Schema and its name, as OpenAI's API writes them."""

    name: SchemaName = Field(description="Name of the schema; it is sent to servers, and has no meaning here.")
    schema_: dict[str, Any] = Field(
        alias="schema", description="The JSON Schema. The order of its properties is the order of the answer's."
    )
    strict: Literal[True] | None = Field(
        default=None, description="Accepted for requests written for OpenAI's API; every answer is strict."
    )


class JsonSchemaFormat(WireModel):
    """JSON that fits a schema."""

    type: Literal["json_schema"] = Field(default="json_schema", description="Name of the format.")
    json_schema: JsonSchema = Field(description="The schema that the answer fits.")


class ChoiceFormat(WireModel):
    """One of several texts: the likeliest one, with the probability of each."""

    type: Literal["choice"] = Field(default="choice", description="Name of the format.")
    choices: tuple[Choice, ...] = Field(
        min_length=2,
        max_length=MAX_CHOICES,
        description="The possible answers, all different.",
        json_schema_extra={"uniqueItems": True},
    )

    @field_validator("choices")
    @classmethod
    def _all_differ(cls, choices: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(choices)) < len(choices):
            raise ValueError("a choice occurs twice; name each once")
        return choices


ResponseFormat = Annotated[SectionsFormat | JsonSchemaFormat | ChoiceFormat, Field(discriminator="type")]
SECTIONS_FORMAT = SectionsFormat()
