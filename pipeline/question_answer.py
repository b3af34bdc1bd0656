"""Turns what the engine wrote into the answer to one question, as it stands in a result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

from pydantic import JsonValue

from sightstream.pipeline.answer import parse
from sightstream.pipeline.constraints.value import parse_value
from sightstream.pipeline.errors import CapabilityMissing, PipelineError, Rejected
from sightstream.pipeline.types import Completion
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.question import Question
from sightstream.schemas.wire.question_answer import AnswerStatus, QuestionAnswer
from sightstream.schemas.wire.response_format import SectionsFormat
from sightstream.schemas.wire.result import Answer, TokenCounts


@dataclass(frozen=True, slots=True)
class CheckedAnswer:
    """The answer to one question, with its value checked against the format, or why there is none.

    `completion` is what the engine wrote, None where it was not asked or refused; `cached` is as in Answered.
    """

    status: AnswerStatus
    detail: str | None = None
    value: JsonValue = None
    valid: bool = False
    sections: Answer | None = None
    completion: Completion | None = None
    cached: bool = False


def check_answer(question: Question, completion: Completion, cached: bool) -> CheckedAnswer:
    """Return the answer with its value. Four sections are always one; where some are missing, it is not valid."""
    if isinstance(question.response_format, SectionsFormat):
        parsed = parse(completion.text)
        sections = parsed.answer
        return CheckedAnswer("answered", None, sections.conclusion, parsed.complete, sections, completion, cached)
    found = parse_value(question.response_format, completion.text)
    status: AnswerStatus = "answered" if found.valid else "invalid"
    value = found.value if found.valid else None
    return CheckedAnswer(status, found.problem, value, found.valid, None, completion, cached)


def skipped(detail: str) -> CheckedAnswer:
    """Return the answer to a question whose condition does not hold."""
    return CheckedAnswer("skipped", detail)


def refused(detail: str) -> CheckedAnswer:
    """Return the answer to a question that the engine can't answer, while it can answer others."""
    return CheckedAnswer("refused", detail)


def to_question_answer(question: Question, answer: CheckedAnswer) -> QuestionAnswer:
    """Return the answer as it stands in a result of version 2."""
    common = {"id": question.id, "question": question.text, "status": answer.status, "detail": answer.detail}
    completion = answer.completion
    if completion is None:
        return QuestionAnswer(**common)
    return QuestionAnswer(
        **common,
        value=answer.value,
        valid=answer.valid,
        confidence=completion.confidence,
        finish_reason=completion.finish_reason,
        sections=answer.sections,
        reasoning=completion.reasoning if answer.sections is None else None,
        raw_text=completion.text,
        tokens=to_token_counts(completion),
        cached=answer.cached,
    )


def to_token_counts(completion: Completion) -> TokenCounts:
    return TokenCounts(prompt=completion.prompt_tokens, completion=completion.completion_tokens)


def concerns_one_question(error: PipelineError) -> TypeGuard[Rejected]:
    """Return whether the engine refused this question, so that others about the same images may have answers."""
    refused_reasons = (Reason.ENGINE_REFUSED, Reason.QUESTION_TOO_LONG)
    return isinstance(error, Rejected) and error.reason in refused_reasons and not isinstance(error, CapabilityMissing)
