"""What is kept of an answer: what the model said, and what it looked at."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from sightstream.schemas.wire.request import WireModel
from sightstream.schemas.wire.result import FinishReason, ImageResult
from sightstream.schemas.wire.text import Prose

_MOST = 2**40  # what no image and no answer has, and any database still counts


class CachedAnswer(WireModel):
    """Nothing of the request that asked first: no address, no identity. The text is parsed anew for each asker."""

    text: Prose
    finish_reason: FinishReason
    prompt_tokens: Annotated[int, Field(ge=0, le=_MOST)]
    completion_tokens: Annotated[int, Field(ge=0, le=_MOST)]
    bytes: Annotated[int, Field(ge=1, le=_MOST)]
    format: Annotated[str, StringConstraints(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")]
    width: Annotated[int, Field(ge=1, le=_MOST)]
    height: Annotated[int, Field(ge=1, le=_MOST)]

    @classmethod
    def of(cls, result: ImageResult) -> CachedAnswer:
        return cls(
            text=result.raw_text,
            finish_reason=result.finish_reason,
            prompt_tokens=result.tokens.prompt,
            completion_tokens=result.tokens.completion,
            bytes=result.image.bytes,
            format=result.image.format,
            width=result.image.width,
            height=result.image.height,
        )
