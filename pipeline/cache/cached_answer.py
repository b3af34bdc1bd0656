"""The part of an answer that is cached: what the model wrote, and the facts about the images."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from sightstream.pipeline.types import Answered, Completion, SeenFile
from sightstream.schemas.wire.question_answer import NO_CONFIDENCE, Confidence, EndOfAnswer
from sightstream.schemas.wire.request import MAX_IMAGES
from sightstream.schemas.wire.result import ModelIdentity
from sightstream.schemas.wire.text import Prose
from sightstream.schemas.wire.wire_model import WireModel

_MAX_COUNT = 2**40  # no image and no answer reaches it, and any database can store it

Count = Annotated[int, Field(ge=0, le=_MAX_COUNT)]
Size = Annotated[int, Field(ge=1, le=_MAX_COUNT)]


class CachedImage(WireModel):
    """The facts about one image; its digest is in the key."""

    bytes: Size
    format: Annotated[str, StringConstraints(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")]
    width: Size
    height: Size
    seen_size: tuple[Size, Size] | None = None
    truncated: bool = False
    detail: Literal["high", "low"] = "high"


class CachedAnswer(WireModel):
    """Holds nothing of the request that asked first: no URL, no ids. The text is parsed anew for each request."""

    text: Prose
    finish_reason: EndOfAnswer
    prompt_tokens: Count
    completion_tokens: Count
    images: Annotated[tuple[CachedImage, ...], Field(min_length=1, max_length=MAX_IMAGES)]
    reasoning: Prose | None = None
    confidence: Confidence = NO_CONFIDENCE

    @classmethod
    def of(cls, answered: Answered) -> CachedAnswer:
        completion = answered.completion
        return cls(
            text=completion.text,
            finish_reason=completion.finish_reason,
            prompt_tokens=completion.prompt_tokens,
            completion_tokens=completion.completion_tokens,
            images=tuple(map(_image, answered.files)),
            reasoning=completion.reasoning,
            confidence=completion.confidence,
        )

    def to_answered(self, model: ModelIdentity) -> Answered:
        """Return the answer as the model's, for a question that did not compute it."""
        completion = Completion(
            self.text, self.finish_reason, self.prompt_tokens, self.completion_tokens, self.reasoning, self.confidence
        )
        return Answered(completion, tuple(map(_file, self.images)), model, cached=True)


def _image(file: SeenFile) -> CachedImage:
    return CachedImage(
        bytes=file.size_bytes,
        format=file.format,
        width=file.width,
        height=file.height,
        seen_size=file.seen_size,
        truncated=file.truncated,
        detail=file.detail,
    )


def _file(image: CachedImage) -> SeenFile:
    size = (image.width, image.height)
    return SeenFile(image.bytes, image.format, *size, image.seen_size, image.truncated, image.detail)
