"""Defines `ImageResult`: the structured answer to one request, as published to the result topic."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field

from sightstream.schemas.wire.text import Identifier, Prose, Sha256
from sightstream.schemas.wire.wire_model import WireModel

FinishReason = Literal["stop", "length"]


class Answer(WireModel):
    """The four sections of a LLaVA-CoT answer; a section that the model omitted is empty."""

    summary: Prose = Field(default="", description="How the model approaches the question.")
    caption: Prose = Field(default="", description="What the image shows, as far as the question needs it.")
    reasoning: Prose = Field(default="", description="The steps from the image to the conclusion.")
    conclusion: Prose = Field(default="", description="The answer itself.")


class SeenImage(WireModel):
    """Describes the image that the model really got."""

    uri: str = Field(description="Address of the image, without credentials and query.")
    sha256: Sha256 = Field(description="Digest of the fetched bytes.")
    bytes: int = Field(ge=1, description="Number of fetched bytes.")
    format: str = Field(description='Format of the file, such as "JPEG".')
    width: int = Field(ge=1, description="Width in pixels, after EXIF orientation.")
    height: int = Field(ge=1, description="Height in pixels, after EXIF orientation.")


class ModelIdentity(WireModel):
    """Identifies the weights and the engine that answered."""

    name: str = Field(description="Name of the model.")
    revision: str | None = Field(default=None, description="Revision of the checkpoint, where it is known.")
    weights_sha256: Sha256 | None = Field(default=None, description="Digest over the checkpoint's safetensors files.")
    quantization: str = Field(description='Precision of the weights and of the arithmetic, such as "nf4+bfloat16".')
    engine: str = Field(description="Engine that generated the answer.")


class TokenCounts(WireModel):
    """Counts the tokens of one answer."""

    prompt: int = Field(ge=0, description="Tokens of the question and its template.")
    completion: int = Field(ge=0, description="Tokens of the answer.")


class StageSeconds(WireModel):
    """Wall-clock seconds of each stage, including the time that the request waited for it."""

    fetch: float = Field(ge=0, description="Seconds to fetch the image.")
    decode: float = Field(ge=0, description="Seconds to decode it.")
    infer: float = Field(ge=0, description="Seconds to generate the answer.")
    total: float = Field(ge=0, description="Seconds from start to end, between the stages included.")


class ImageResult(WireModel):
    """The answer to one request. Read it with codec.decode_result, which raises WireError for anything else."""

    schema_version: Literal[1] = Field(default=1, description="Version of this schema.")
    request_id: Identifier = Field(description="Id of the request that this answers.")
    product_id: Identifier = Field(description="Id of the product, and the Kafka key.")
    question: Prose = Field(description="The question, as asked.")
    attributes: dict[str, str] = Field(default_factory=dict, description="The request's own data, unchanged.")
    answer: Answer = Field(description="The four sections of the answer.")
    finish_reason: FinishReason = Field(description='"stop" at the end of the answer, "length" at max_tokens.')
    complete: bool = Field(description="Whether all four sections are present and not empty.")
    raw_text: Prose = Field(description="The text as the model wrote it, with its section tags.")
    image: SeenImage = Field(description="The image that was analysed.")
    model: ModelIdentity = Field(description="The model that answered.")
    tokens: TokenCounts = Field(description="Token counts of the answer.")
    seconds: StageSeconds = Field(description="Duration of each stage.")
    cached: bool = Field(default=False, description="Whether the answer came from the cache.")
    completed_at: AwareDatetime = Field(description="Time at which the answer was complete.")
