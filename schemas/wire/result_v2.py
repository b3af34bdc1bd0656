"""Defines `ImageResultV2`: the answers to all questions of one request, as published to the result topic."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field

from sightstream.schemas.wire.question_answer import QuestionAnswer
from sightstream.schemas.wire.request import TaskRef
from sightstream.schemas.wire.result import ImageResult, ModelIdentity, SeenImage, StageSeconds, TokenCounts
from sightstream.schemas.wire.text import Identifier
from sightstream.schemas.wire.wire_model import WireModel


class SeenImageV2(SeenImage):
    """Describes one of the images that the model really got."""

    detail: Literal["high", "low"] = Field(description="low: the model was shown one tile of it.")
    pixels: tuple[int, int] | None = Field(
        default=None, description="Width and height at which the model saw it, where the engine's tiles decide that."
    )
    truncated: bool = Field(default=False, description="Whether the file ended early, and its end is missing.")


class ImageResultV2(WireModel):
    """The answers to one request of version 2. codec.decode_result reads both versions."""

    schema_version: Literal[2] = Field(default=2, description="Version of this schema.")
    request_id: Identifier = Field(description="Id of the request that this answers.")
    product_id: Identifier = Field(description="Id of the product, and the Kafka key.")
    attributes: dict[str, str] = Field(default_factory=dict, description="The request's own data, unchanged.")
    task: TaskRef | None = Field(default=None, description="The request's task, unchanged.")
    job_id: Identifier | None = Field(default=None, description="The request's job_id, unchanged.")
    requested_model: Identifier | None = Field(default=None, description="The request's model, unchanged.")
    lane: Identifier | None = Field(default=None, description="The request's lane, unchanged.")
    answers: tuple[QuestionAnswer, ...] = Field(min_length=1, description="One for each question, in their order.")
    images: tuple[SeenImageV2, ...] = Field(min_length=1, description="One for each image, in their order.")
    model: ModelIdentity = Field(description="The model that answered.")
    tokens: TokenCounts = Field(description="Token counts of all answers.")
    seconds: StageSeconds = Field(description="Duration of each stage.")
    cached: bool = Field(default=False, description="Whether all answers came from the cache.")
    completed_at: AwareDatetime = Field(description="Time at which the last answer was complete.")


AnyResult = ImageResult | ImageResultV2
