"""Defines `ImageRequest`: one question about one image, as published to the request topic."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from sightstream.schemas.wire.text import Identifier, Prose, Sha256

AttributeName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]
AttributeValue = Annotated[str, StringConstraints(max_length=1024, pattern=r"^[^\x00]*$")]


class WireModel(BaseModel):
    """A frozen model that refuses unknown keys, so that a sender sees a misspelt field. Numbers are finite.

    Creating one blocks for nothing and raises pydantic.ValidationError when a field is missing, unknown or invalid.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ImageRef(WireModel):
    """Identifies an image by its address, and optionally by version and content."""

    uri: Annotated[str, StringConstraints(min_length=1, max_length=8192, pattern=r"^[^\x00-\x1f\x7f]+$")] = Field(
        description="Address of the image: s3://bucket/key, https://host/path (also http) or file:///path. A presigned "
        "URL works."
    )
    version_id: Identifier | None = Field(
        default=None, description="Version of the S3 object; without it, the newest one is fetched."
    )
    sha256: Sha256 | None = Field(
        default=None, description="Expected digest of the bytes; other bytes end the request as checksum_mismatch."
    )


class AnalysisOptions(WireModel):
    """Options for generating the answer; the defaults are greedy and repeatable."""

    max_tokens: int = Field(default=512, ge=1, le=4096, description="Most tokens that the answer may have.")
    temperature: float = Field(
        default=0.0, ge=0.0, le=2.0, description="Randomness of the answer; 0 always picks the likeliest token."
    )
    top_p: float = Field(
        default=1.0, gt=0.0, le=1.0, description="Total probability of the tokens that may be picked; 1 allows all."
    )
    seed: int | None = Field(
        default=None, ge=0, lt=2**63, description="Seed that makes an answer with a temperature repeatable."
    )


class ImageRequest(WireModel):
    """A request: one question about one image. It ends as exactly one result or one dead letter.

    Validation checks fields only; codec.encode and ImagePublisher.publish convert a request into bytes, and publish
    raises RequestTooLarge above 256 KiB.
    """

    schema_version: Literal[1] = Field(default=1, description="Version of this schema.")
    request_id: Identifier = Field(
        description="Your id of the request, which its outcome carries. A request that is published twice is answered "
        "twice, under the same id."
    )
    product_id: Identifier = Field(
        description="Id of the product, and the Kafka key: the requests of one product are answered in order."
    )
    image: ImageRef = Field(description="The image that the question is about.")
    question: Annotated[Prose, StringConstraints(min_length=1, max_length=8192)] = Field(
        description="The question, in natural language."
    )
    options: AnalysisOptions = Field(default=AnalysisOptions(), description="How to generate the answer.")
    submitted_at: AwareDatetime = Field(description="Time of publishing, with a time zone.")
    deadline: AwareDatetime | None = Field(
        default=None, description="Time after which no answer is computed: the request ends as deadline_exceeded."
    )
    attributes: dict[AttributeName, AttributeValue] = Field(
        default_factory=dict, max_length=32, description="Your own data, which comes back unchanged on the result."
    )
