"""Makes up the simulated engine's answers: each fits its format, and depends on the pixels and on the question."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from sightstream.pipeline.engine.format_prompt import with_format
from sightstream.pipeline.engine.schema_instance import SchemaInstance
from sightstream.pipeline.errors import CapabilityMissing
from sightstream.pipeline.types import Completion, EngineJob
from sightstream.schemas.wire.question_answer import (
    MAX_CHOICE_PROBABILITIES,
    NO_CONFIDENCE,
    ChoiceProbability,
    Confidence,
    EndOfAnswer,
)
from sightstream.schemas.wire.response_format import ChoiceFormat, JsonSchemaFormat, SectionsFormat

# A question that starts with one of these gets an answer that is no value of its format, one that is cut in the middle,
# and one that repeats itself.
INVALID, CUT, REPEAT = "simulate: invalid", "simulate: cut", "simulate: repeat"

NO_VALUE = "I would rather not say."
LOOP = "and so on "
LOOP_TOKENS = 64  # of a loop before it is noticed
CHARACTERS_PER_TOKEN = 4
SAMPLES = 512


@dataclass(frozen=True, slots=True)
class _Draft:
    """An answer proper, before its tokens are counted."""

    text: str
    confidence: Confidence = NO_CONFIDENCE
    finish_reason: EndOfAnswer = "stop"


def simulated_answer(job: EngineJob) -> Completion:
    """Return the answer. Raises CapabilityMissing for a schema that no value was found for."""
    mark = fingerprint(*(pixels.buffer() for pixels in (job.pixels, *job.more_pixels)))
    draft = _with_fault(_draft(job, mark), job)
    prompt_tokens = len(with_format(job.question, job.response_format).split())
    if isinstance(job.response_format, SectionsFormat):
        return Completion(draft.text, draft.finish_reason, prompt_tokens, len(draft.text.split()))
    reasoning = f"I will look at {mark}." if job.reasons else None
    spent = min(_count(reasoning or ""), job.options.max_tokens // 2)
    if isinstance(job.response_format, JsonSchemaFormat):
        draft = _cut(draft, job.options.max_tokens - spent)
    return Completion(
        draft.text, draft.finish_reason, prompt_tokens, spent + _count(draft.text), reasoning, draft.confidence
    )


def _draft(job: EngineJob, mark: str) -> _Draft:
    wanted, seed = job.response_format, f"{mark} {job.question}"
    if isinstance(wanted, SectionsFormat):
        return _Draft(_sections(job, mark))
    if isinstance(wanted, ChoiceFormat):
        confidence = _choice_confidence(wanted.choices, seed)
        return _Draft(confidence.choices[0].value, confidence)
    try:
        value = SchemaInstance(wanted.json_schema.schema_, seed).value()
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise CapabilityMissing("json_schema", f"no value was found for this schema ({error})") from error
    return _Draft(json.dumps(value, ensure_ascii=False, separators=(",", ":")), _json_confidence(value, seed))


def _with_fault(draft: _Draft, job: EngineJob) -> _Draft:
    if job.question.startswith(INVALID):
        return _Draft(NO_VALUE)
    half = draft.text[: len(draft.text) // 2]
    if job.question.startswith(CUT):
        return _Draft(half, finish_reason="length")
    if job.question.startswith(REPEAT):
        tokens = LOOP_TOKENS if job.stops_repetition else job.options.max_tokens
        cut = _cut(_Draft(half + LOOP * tokens), tokens)
        return replace(cut, finish_reason="repetition") if job.stops_repetition else cut
    return draft


def _cut(draft: _Draft, max_tokens: int) -> _Draft:
    if _count(draft.text) <= max_tokens:
        return draft
    return _Draft(draft.text[: max_tokens * CHARACTERS_PER_TOKEN], finish_reason="length")


def _count(text: str) -> int:
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def _sections(job: EngineJob, mark: str) -> str:
    return (
        f"<SUMMARY>I will look at {mark}.</SUMMARY><CAPTION>{job.pixels.width} x {job.pixels.height} pixels.</CAPTION>"
        f"<REASONING>Nothing to reason about.</REASONING><CONCLUSION>{mark}</CONCLUSION>"
    )


def _choice_confidence(choices: tuple[str, ...], seed: str) -> Confidence:
    """Return made-up probabilities of all choices, which sum to 1; the first is the answer."""
    weights = {choice: _fraction(f"{seed} {choice}") ** 4 + 1e-6 for choice in choices}
    total = sum(weights.values())
    best = sorted(choices, key=lambda choice: -weights[choice])
    listed = tuple(
        ChoiceProbability(value=choice, probability=weights[choice] / total)
        for choice in best[:MAX_CHOICE_PROBABILITIES]
    )
    rest = sum(weights[choice] for choice in best[MAX_CHOICE_PROBABILITIES:])
    return Confidence(kind="exact", value=listed[0].probability, choices=listed, other=rest / total)


def _json_confidence(value: Any, seed: str) -> Confidence:
    fields = {pointer: 0.5 + _fraction(f"{seed}{pointer}") / 2 for pointer in _plain_values(value, "")}
    return Confidence(kind="path", value=math.prod(fields.values()), fields=fields)


def _plain_values(value: Any, pointer: str) -> Iterator[str]:
    """The JSON Pointers of all values that are neither object nor array."""
    if isinstance(value, dict):
        for name, inner in value.items():
            step = name.replace("~", "~0").replace("/", "~1")
            yield from _plain_values(inner, f"{pointer}/{step}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _plain_values(inner, f"{pointer}/{index}")
    else:
        yield pointer


def _fraction(text: str) -> float:
    """Return a number from 0 up to 1 that only the text decides."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56


def fingerprint(*images: bytes | memoryview) -> str:
    """Return a digest of evenly spread bytes: an engine without a model must cost next to nothing."""
    digest = hashlib.sha256()
    for pixels in images:
        view = memoryview(pixels)
        digest.update(view[:: max(1, len(view) // SAMPLES)].tobytes())
    return digest.hexdigest()[:12]
