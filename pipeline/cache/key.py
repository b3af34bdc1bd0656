"""Which requests are equal: those whose answers are."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache

from sightstream.schemas.wire.request import AnalysisOptions
from sightstream.schemas.wire.result import ModelIdentity

# To be raised when the same image, question and model come to another text: another prompt, another layout of tiles.
VERSION = 1


@lru_cache(maxsize=4096)  # asked several times for each request in hand
def question_key(image_sha256: str, question: str, options: AnalysisOptions) -> str | None:
    """Equal for requests to which one model gives one answer; None where the asker wants chance.

    The sha256 of canonical JSON: keys sorted, ASCII, floats as Python's shortest repr.
    """
    if options.temperature > 0 and options.seed is None:
        return None
    return _digest({"image": image_sha256, "question": question, "options": _of_weight(options)})


def answer_key(question: str, model: ModelIdentity, recipe: str) -> str:
    """Where the answer to a `question_key` is kept. `recipe` is what else of the engine decides the text."""
    return _digest({"version": VERSION, "question": question, "model": model.model_dump(), "recipe": recipe})


def _of_weight(options: AnalysisOptions) -> dict[str, object]:
    """A greedy answer depends neither on `top_p` nor on the seed."""
    return options.model_dump(include={"max_tokens"} if options.temperature == 0 else None)


def _digest(fields: dict[str, object]) -> str:
    text = json.dumps(fields, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
