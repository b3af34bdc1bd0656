"""Asks a job's question in one turn, or in two where the model reasons before its answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from pydantic import JsonValue

from sightstream.pipeline.engine.format_prompt import SECOND_TURN, with_format
from sightstream.pipeline.engine.remote.abilities import MOST_LOGPROBS
from sightstream.pipeline.engine.remote.confidence import choice_confidence, json_confidence
from sightstream.pipeline.engine.remote.logprobs import read_logprobs
from sightstream.pipeline.engine.remote.protocol import Answer
from sightstream.pipeline.engine.remote.request_body import ANSWER, Turn
from sightstream.pipeline.types import Completion, EngineJob
from sightstream.schemas.wire.question_answer import NO_CONFIDENCE, Confidence
from sightstream.schemas.wire.response_format import ChoiceFormat, SectionsFormat

Ask = Callable[[Turn], Answer]


def hold(job: EngineJob, ask: Ask) -> Completion:
    """Return the completion of a job; `ask` sends a turn and blocks. Raises what it raises."""
    completion = _constrained(job, ask) if not isinstance(job.response_format, SectionsFormat) else _free(job, ask)
    if completion.finish_reason == "repetition" and not job.stops_repetition:
        return replace(completion, finish_reason="length")
    return completion


def _free(job: EngineJob, ask: Ask) -> Completion:
    answer = ask(Turn(job, (job.question,), job.options.max_tokens))
    return Completion(answer.text, answer.finish_reason, answer.prompt_tokens, answer.completion_tokens)


def _constrained(job: EngineJob, ask: Ask) -> Completion:
    budget, wanted = job.options.max_tokens, job.response_format
    first = ask(Turn(job, (job.question,), budget // 2)) if job.reasons and budget > 1 else None
    said: tuple[str, ...] = (with_format(job.question, wanted),)
    if first is not None:
        budget -= min(first.completion_tokens, budget // 2)  # the answer proper always has half
        said = (job.question, first.text, with_format(SECOND_TURN, wanted)) if first.text else said
    top = MOST_LOGPROBS if isinstance(wanted, ChoiceFormat) else 0
    answer = ask(Turn(job, said, budget, wanted, top))
    completion = _choice(wanted, answer) if isinstance(wanted, ChoiceFormat) else _json(answer)
    return completion if first is None else _with_reasoning(completion, first)


def _with_reasoning(completion: Completion, first: Answer) -> Completion:
    return replace(
        completion,
        prompt_tokens=completion.prompt_tokens + first.prompt_tokens,
        completion_tokens=completion.completion_tokens + first.completion_tokens,
        reasoning=first.text,
    )


def _json(answer: Answer) -> Completion:
    tokens = read_logprobs(answer.logprobs, answer.text)
    confidence = json_confidence(answer.text, tokens) if tokens and answer.finish_reason == "stop" else NO_CONFIDENCE
    return _completion(answer, answer.text, confidence)


def _choice(wanted: ChoiceFormat, answer: Answer) -> Completion:
    """The choice stands alone or in JSON; anything else stays as it is, for the check to refuse."""
    quoted = _quoted_choice(answer.text)
    text = quoted if quoted is not None else answer.text
    tokens = read_logprobs(answer.logprobs, answer.text)
    if tokens is None or text not in wanted.choices or answer.finish_reason != "stop":
        return _completion(answer, text, NO_CONFIDENCE)
    return _completion(answer, text, choice_confidence(wanted.choices, text, tokens, quoted=quoted is not None))


def _quoted_choice(text: str) -> str | None:
    try:
        value: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = value.get(ANSWER) if isinstance(value, dict) else None
    return found if isinstance(found, str) else None


def _completion(answer: Answer, text: str, confidence: Confidence) -> Completion:
    return Completion(text, answer.finish_reason, answer.prompt_tokens, answer.completion_tokens, None, confidence)
