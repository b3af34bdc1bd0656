"""`ImageRequest`: one question about one image, as it stands on the request topic."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from sightstream.schemas.wire.text import Identifier, Prose, Sha256

AttributeName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]
AttributeValue = Annotated[str, StringConstraints(max_length=1024, pattern=r"^[^\x00]*$")]


class WireModel(BaseModel):
    """Frozen, and strict about keys: a misspelt field is an error that its sender sees. Numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ImageRef(WireModel):
    """Where the image is.

    `sha256`, where given, is verified against the fetched bytes; `version_id` names one S3 object version.
    """

    uri: Annotated[str, StringConstraints(min_length=1, max_length=8192, pattern=r"^[^\x00-\x1f\x7f]+$")]
    version_id: Identifier | None = None
    sha256: Sha256 | None = None


class AnalysisOptions(WireModel):
    """How to generate. `temperature` 0 is greedy; `seed` makes a sampled answer repeatable."""

    max_tokens: int = Field(default=512, ge=1, le=4096)
    temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    seed: int | None = Field(default=None, ge=0, lt=2**63)


class ImageRequest(WireModel):
    """One image, one question.

    `request_id` is the idempotency key; `product_id` is the Kafka key, so that the images of one product
    stay in order; `attributes` come back untouched on the result; past `deadline` no answer is computed.
    """

    schema_version: Literal[1] = 1
    request_id: Identifier
    product_id: Identifier
    image: ImageRef
    question: Annotated[Prose, StringConstraints(min_length=1, max_length=8192)]
    options: AnalysisOptions = AnalysisOptions()
    submitted_at: AwareDatetime
    deadline: AwareDatetime | None = None
    attributes: dict[AttributeName, AttributeValue] = Field(default_factory=dict, max_length=32)
