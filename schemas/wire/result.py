"""`ImageResult`: the structured answer to one request, as it stands on the result topic."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field

from sightstream.schemas.wire.request import WireModel
from sightstream.schemas.wire.text import Identifier, Prose, Sha256

FinishReason = Literal["stop", "length"]


class Answer(WireModel):
    """The four sections of a LLaVA-CoT answer; a section that the model left out is empty."""

    summary: Prose = ""
    caption: Prose = ""
    reasoning: Prose = ""
    conclusion: Prose = ""


class SeenImage(WireModel):
    """What was really looked at. `width` and `height` are pixels after EXIF orientation."""

    uri: str
    sha256: Sha256
    bytes: int = Field(ge=1)
    format: str
    width: int = Field(ge=1)
    height: int = Field(ge=1)


class ModelIdentity(WireModel):
    """Which weights answered: `weights_sha256` is the digest over the checkpoint's safetensors files."""

    name: str
    revision: str | None = None
    weights_sha256: Sha256 | None = None
    quantization: str
    engine: str


class TokenCounts(WireModel):
    prompt: int = Field(ge=0)
    completion: int = Field(ge=0)


class StageSeconds(WireModel):
    """Wall-clock seconds in each stage, waiting for a place in it included."""

    fetch: float = Field(ge=0)
    decode: float = Field(ge=0)
    infer: float = Field(ge=0)
    total: float = Field(ge=0)


class ImageResult(WireModel):
    """One answered request. `complete` says that all four sections are present and not empty."""

    schema_version: Literal[1] = 1
    request_id: Identifier
    product_id: Identifier
    question: Prose
    attributes: dict[str, str] = Field(default_factory=dict)
    answer: Answer
    finish_reason: FinishReason
    complete: bool
    raw_text: Prose
    image: SeenImage
    model: ModelIdentity
    tokens: TokenCounts
    seconds: StageSeconds
    cached: bool = False
    completed_at: AwareDatetime
