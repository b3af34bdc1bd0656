"""Turns a result into the columns of its row in `results`, and of its rows in `answers`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC

from pydantic import JsonValue

from sightstream.consumers.store.row import Value
from sightstream.schemas.wire.question import ONLY_QUESTION
from sightstream.schemas.wire.question_answer import Confidence, QuestionAnswer
from sightstream.schemas.wire.result import Answer, ImageResult
from sightstream.schemas.wire.result_v2 import AnyResult, ImageResultV2


def result_columns(result: AnyResult) -> dict[str, Value]:
    """Return what `results` holds of it, beside where it stands on its topic."""
    image = result.image if isinstance(result, ImageResult) else result.images[0]
    own = _version_1(result) if isinstance(result, ImageResult) else _version_2(result)
    return own | {
        "schema_version": result.schema_version,
        "request_id": result.request_id,
        "product_id": result.product_id,
        "image_uri": image.uri,
        "image_sha256": image.sha256,
        "model_name": result.model.name,
        "model_revision": result.model.revision,
        "model_weights_sha256": result.model.weights_sha256,
        "prompt_tokens": result.tokens.prompt,
        "completion_tokens": result.tokens.completion,
        "seconds_total": result.seconds.total,
        "completed_at": result.completed_at.astimezone(UTC).isoformat(),
    }


def _version_1(result: ImageResult) -> dict[str, Value]:
    return {
        "question": result.question,
        **result.answer.model_dump(),
        "finish_reason": result.finish_reason,
        "complete": int(result.complete),
    }


def _version_2(result: ImageResultV2) -> dict[str, Value]:
    """Fill the columns of version 1 from the only question, and leave them empty where there are several."""
    complete = all(answer.valid or answer.status == "skipped" for answer in result.answers)
    task = {"task_name": result.task.name, "task_digest": result.task.digest} if result.task else {}
    if len(result.answers) > 1:
        return {"question": "", **Answer().model_dump(), "finish_reason": "", "complete": int(complete), **task}
    (answer,) = result.answers
    return {
        "question": answer.question,
        **(answer.sections or Answer()).model_dump(),
        "conclusion": _plain(answer.value),
        "finish_reason": answer.finish_reason or "",
        "complete": int(complete),
        **task,
    }


def _plain(value: JsonValue) -> str:
    """Return a text as it is, and JSON for the rest. SQLite's functions see a text only up to its first NUL."""
    if isinstance(value, str) and "\x00" not in value:
        return value
    return "" if value is None else _json(value)


def answer_columns(result: AnyResult) -> Iterator[dict[str, Value]]:
    """Yield what `answers` holds of each question, in their order."""
    answers = (_only_answer(result),) if isinstance(result, ImageResult) else result.answers
    for number, answer in enumerate(answers):
        yield {"number": number, "request_id": result.request_id, "product_id": result.product_id, **_answer(answer)}


def _only_answer(result: ImageResult) -> QuestionAnswer:
    return QuestionAnswer(
        id=ONLY_QUESTION,
        question=result.question,
        status="answered",
        value=result.answer.conclusion,
        valid=result.complete,
        finish_reason=result.finish_reason,
        tokens=result.tokens,
        cached=result.cached,
    )


def _answer(answer: QuestionAnswer) -> dict[str, Value]:
    has_value = answer.value is not None or answer.status == "answered"
    return {
        "question_id": answer.id,
        "question": answer.question,
        "status": answer.status,
        "detail": answer.detail,
        "value": _json(answer.value) if has_value else None,
        "valid": int(answer.valid),
        **_confidence(answer.confidence),
        "finish_reason": answer.finish_reason,
        "prompt_tokens": answer.tokens.prompt if answer.tokens else None,
        "completion_tokens": answer.tokens.completion if answer.tokens else None,
        "cached": int(answer.cached),
    }


def _confidence(confidence: Confidence) -> dict[str, Value]:
    fields: JsonValue = {**confidence.fields}
    choices: JsonValue = [{"value": each.value, "probability": each.probability} for each in confidence.choices]
    return {
        "confidence": confidence.value,
        "confidence_kind": confidence.kind,
        "confidence_fields": _json(fields) if fields else None,
        "confidence_choices": _json(choices) if choices else None,
    }


def _json(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
