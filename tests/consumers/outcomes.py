"""Outcomes as the worker would publish them, made by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Literal

from pydantic import JsonValue

from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.dead_letter import Failure, Headers, Reason, RecordId, Stage
from sightstream.schemas.wire.question_answer import Confidence, QuestionAnswer
from sightstream.schemas.wire.request import ImageRef, ImageRequest, TaskRef
from sightstream.schemas.wire.result import Answer, ImageResult, ModelIdentity, SeenImage, StageSeconds, TokenCounts
from sightstream.schemas.wire.result_v2 import ImageResultV2, SeenImageV2

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
REQUESTS = "image.requests"


def result(request_id: str = "r-1", product_id: str = "p-1", conclusion: str = "A red bag.") -> ImageResult:
    return ImageResult(
        request_id=request_id,
        product_id=product_id,
        question="What is it?",
        answer=Answer(summary="s", caption="c", reasoning="r", conclusion=conclusion),
        finish_reason="stop",
        complete=True,
        raw_text=f"<CONCLUSION>{conclusion}</CONCLUSION>",
        image=SeenImage(uri="s3://shop/1.jpg", sha256="a" * 64, bytes=10, format="jpeg", width=4, height=3),
        model=ModelIdentity(name="demo", quantization="none", engine="reference"),
        tokens=TokenCounts(prompt=5, completion=7),
        seconds=StageSeconds(fetch=0.1, decode=0.2, infer=0.3, total=0.6),
        completed_at=NOON,
    )


def answer(
    question_id: str, value: JsonValue, probability: float | None = None, fields: dict[str, float] | None = None
) -> QuestionAnswer:
    """A good answer."""
    kind: Literal["path", "none"] = "none" if probability is None else "path"
    return QuestionAnswer(
        id=question_id,
        question=f"What about {question_id}?",
        status="answered",
        value=value,
        valid=True,
        confidence=Confidence(kind=kind, value=probability, fields=fields or {}),
        finish_reason="stop",
        raw_text=json.dumps(value),
        tokens=TokenCounts(prompt=3, completion=4),
    )


def result_v2(request_id: str, product_id: str, *answers: QuestionAnswer, task: str | None = None) -> ImageResultV2:
    return ImageResultV2(
        request_id=request_id,
        product_id=product_id,
        task=None if task is None else TaskRef(name=task, digest="b" * 64),
        answers=answers,
        images=(SeenImageV2(**dict(result().image), detail="high"),),
        model=result().model,
        tokens=TokenCounts(prompt=3, completion=4),
        seconds=result().seconds,
        completed_at=NOON,
    )


def request(request_id: str = "r-1", product_id: str = "p-1") -> ImageRequest:
    image = ImageRef(uri="s3://shop/1.jpg")
    return ImageRequest(
        request_id=request_id, product_id=product_id, image=image, question="What is it?", submitted_at=NOON
    )


def result_record(request_id: str, product_id: str, source: RecordId) -> tuple[bytes, bytes, Headers]:
    """Key, value, headers."""
    return product_id.encode(), encode(result(request_id, product_id)), source.headers()


def dead_record(request_id: str, product_id: str, source: RecordId) -> tuple[bytes, bytes, Headers]:
    """Key, value, headers."""
    failure = Failure(Reason.NOT_AN_IMAGE, Stage.DECODE, "these bytes are text", 1, NOON, source)
    return product_id.encode(), encode(request(request_id, product_id)), failure.headers()
