"""Puts the answers to a request together: a result of the version that the request has."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sightstream.pipeline.question_answer import CheckedAnswer, to_question_answer, to_token_counts
from sightstream.pipeline.types import Answered, SeenFile
from sightstream.schemas.wire.question import Question
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.result import Answer, ImageResult, SeenImage, StageSeconds, TokenCounts
from sightstream.schemas.wire.result_v2 import AnyResult, ImageResultV2, SeenImageV2
from sightstream.schemas.wire.uri import redacted


def to_result(
    request: ImageRequest,
    answers: Sequence[tuple[Question, CheckedAnswer]],
    sha256s: Sequence[str],
    one: Answered,
    seconds: StageSeconds,
    completed_at: datetime,
) -> AnyResult:
    """Return the result. `one` is any of its answers: all are by the same model, about the same images."""
    if request.schema_version == 1:
        (only,) = answers
        return _version_1(request, only, sha256s[0], one, seconds, completed_at)
    written = [to_question_answer(*each) for each in answers]
    tokens = [answer.tokens for answer in written if answer.tokens is not None]
    return ImageResultV2(
        request_id=request.request_id,
        product_id=request.product_id,
        attributes=request.attributes,
        task=request.task,
        job_id=request.job_id,
        requested_model=request.model,
        lane=request.lane,
        answers=tuple(written),
        images=tuple(_seen_v2(*each) for each in zip(request.all_images, sha256s, one.files, strict=True)),
        model=one.model,
        tokens=TokenCounts(prompt=sum(t.prompt for t in tokens), completion=sum(t.completion for t in tokens)),
        seconds=seconds,
        cached=all(answer.cached for answer in written if answer.tokens is not None),
        completed_at=completed_at,
    )


def _version_1(
    request: ImageRequest,
    only: tuple[Question, CheckedAnswer],
    sha256: str,
    one: Answered,
    seconds: StageSeconds,
    completed_at: datetime,
) -> ImageResult:
    question, answer = only
    completion = one.completion
    return ImageResult(
        request_id=request.request_id,
        product_id=request.product_id,
        question=question.text,
        attributes=request.attributes,
        answer=answer.sections or Answer(),
        finish_reason="stop" if completion.finish_reason == "stop" else "length",
        complete=answer.valid,
        raw_text=completion.text,
        image=_seen(request.all_images[0], sha256, one.files[0]),
        model=one.model,
        tokens=to_token_counts(completion),
        seconds=seconds,
        cached=answer.cached,
        completed_at=completed_at,
    )


def _seen(image: ImageRef, sha256: str, file: SeenFile) -> SeenImage:
    return SeenImage(
        uri=redacted(image.uri),
        sha256=sha256,
        bytes=file.size_bytes,
        format=file.format,
        width=file.width,
        height=file.height,
    )


def _seen_v2(image: ImageRef, sha256: str, file: SeenFile) -> SeenImageV2:
    facts = dict(_seen(image, sha256, file))
    return SeenImageV2(**facts, detail=file.detail, pixels=file.seen_size, truncated=file.truncated)
