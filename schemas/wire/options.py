"""Defines how an answer is generated."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sightstream.schemas.wire.wire_model import WireModel

MaxTokens = Annotated[int, Field(ge=1, le=4096)]
Temperature = Annotated[float, Field(ge=0.0, le=2.0)]
TopP = Annotated[float, Field(gt=0.0, le=1.0)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class AnalysisOptions(WireModel):
    """Options for generating the answer; the defaults are greedy and repeatable."""

    max_tokens: MaxTokens = Field(default=512, description="Most tokens that the answer may have.")
    temperature: Temperature = Field(
        default=0.0, description="Randomness of the answer; 0 always picks the likeliest token."
    )
    top_p: TopP = Field(default=1.0, description="Total probability of the tokens that may be picked; 1 allows all.")
    seed: Seed | None = Field(default=None, description="Seed that makes an answer with a temperature repeatable.")
