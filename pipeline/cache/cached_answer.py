"""The part of a result that is cached: the model's text and the facts about the image."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from sightstream.schemas.wire.result import FinishReason, ImageResult
from sightstream.schemas.wire.text import Prose
from sightstream.schemas.wire.wire_model import WireModel

_MAX_COUNT = 2**40  # no image and no answer reaches it, and any database can store it


class CachedAnswer(WireModel):
    """Holds nothing of the request that asked first: no URL, no ids. The text is parsed anew for each request."""

    text: Prose
    finish_reason: FinishReason
    prompt_tokens: Annotated[int, Field(ge=0, le=_MAX_COUNT)]
    completion_tokens: Annotated[int, Field(ge=0, le=_MAX_COUNT)]
    bytes: Annotated[int, Field(ge=1, le=_MAX_COUNT)]
    format: Annotated[str, StringConstraints(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")]
    width: Annotated[int, Field(ge=1, le=_MAX_COUNT)]
    height: Annotated[int, Field(ge=1, le=_MAX_COUNT)]

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
