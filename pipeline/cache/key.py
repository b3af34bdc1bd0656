"""Keys that are equal exactly for questions whose answers are equal."""

from __future__ import annotations

import hashlib
import json

from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.question import Question
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.response_format import ResponseFormat, SectionsFormat
from sightstream.schemas.wire.result import ModelIdentity

# Raise it when the same images, question and model give another answer: another prompt, another layout of tiles.
VERSION = 2

_CANONICAL_JSON = json.JSONEncoder(sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def question_key(
    image_sha256s: tuple[str, ...], question: Question, options: AnalysisOptions, request: ImageRequest
) -> str | None:
    """Return a key that is equal for questions to which one model gives one answer; None for random sampling.

    It is the sha256 of canonical JSON: keys sorted, ASCII, floats as Python's shortest repr. Neither the question's id
    nor its condition is in it. `options` are those that the answer is generated with.
    """
    is_greedy = options.temperature == 0 or (question.response_format.type == "choice" and not question.reasons)
    if not is_greedy and options.seed is None:
        return None
    fields: dict[str, object] = {
        "images": image_sha256s,
        "detail": request.detail,
        "question": question.text,
        "format": _in_order(question.response_format),
        "reasons": question.reasons,
        "stops_repetition": request.schema_version > 1,
        "options": _deciding_options(options, is_greedy),
    }
    return _digest(fields)


def answer_key(question_key: str, model: ModelIdentity, text_fingerprint: str) -> str:
    """Return the key under which the answer to a question is kept. It depends on the settings, too."""
    fields = {"version": VERSION, "question": question_key, "model": model.model_dump(), "settings": text_fingerprint}
    return _digest(fields)


def _in_order(response_format: ResponseFormat) -> str:
    """Return the format's JSON with its keys in the order that they came in: it is the order of the answer's fields."""
    if isinstance(response_format, SectionsFormat):
        return "sections"
    return json.dumps(response_format.model_dump(by_alias=True, exclude_none=True), sort_keys=False)


def _deciding_options(options: AnalysisOptions, is_greedy: bool) -> dict[str, object]:
    """A greedy answer depends neither on `top_p` nor on the seed. A choice is never sampled, whatever the options."""
    return options.model_dump(include={"max_tokens"} if is_greedy else None)


def _digest(fields: dict[str, object]) -> str:
    return hashlib.sha256(_CANONICAL_JSON.encode(fields).encode("ascii")).hexdigest()
