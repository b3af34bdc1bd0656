"""Keys that are equal exactly for requests whose answers are equal."""

from __future__ import annotations

import hashlib
import json

from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.result import ModelIdentity

# Raise it when the same image, question and model give another text: another prompt, another layout of tiles.
VERSION = 1


def question_key(image_sha256: str, question: str, options: AnalysisOptions) -> str | None:
    """Return a key that is equal for requests to which one model gives one answer; None for random sampling.

    It is the sha256 of canonical JSON: keys sorted, ASCII, floats as Python's shortest repr.
    """
    if options.temperature > 0 and options.seed is None:
        return None
    return _digest({"image": image_sha256, "question": question, "options": _deciding_options(options)})


def answer_key(question_key: str, model: ModelIdentity, text_fingerprint: str) -> str:
    """Return the key under which the answer to a question is kept. It depends on the settings, too."""
    fields = {"version": VERSION, "question": question_key, "model": model.model_dump(), "recipe": text_fingerprint}
    return _digest(fields)  # "recipe" is the field's name since version 1: another one would lose all kept answers


def _deciding_options(options: AnalysisOptions) -> dict[str, object]:
    """A greedy answer depends neither on `top_p` nor on the seed."""
    return options.model_dump(include={"max_tokens"} if options.temperature == 0 else None)


def _digest(fields: dict[str, object]) -> str:
    text = json.dumps(fields, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
