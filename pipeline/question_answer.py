"""Turns what the engine wrote into the answer to one question, as it stands in a result."""

from __future__ import annotations

from typing import TypeGuard

from sightstream.pipeline.answer import parse
from sightstream.pipeline.constraints.value import parse_value
from sightstream.pipeline.errors import CapabilityMissing, PipelineError, Rejected
from sightstream.pipeline.types import Completion
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.question import Question
from sightstream.schemas.wire.question_answer import QuestionAnswer
from sightstream.schemas.wire.response_format import SectionsFormat
from sightstream.schemas.wire.result import TokenCounts


def to_question_answer(question: Question, completion: Completion, cached: bool) -> QuestionAnswer:
    """Return the answer with its value, checked against the question's format."""
    if isinstance(question.response_format, SectionsFormat):
        return _sections(question, completion, cached)
    return _constrained(question, completion, cached)


def _sections(question: Question, completion: Completion, cached: bool) -> QuestionAnswer:
    """Four sections are always an answer; one of which some are missing is not valid."""
    parsed = parse(completion.text)
    return QuestionAnswer(
        id=question.id,
        question=question.text,
        status="answered",
        value=parsed.answer.conclusion,
        valid=parsed.complete,
        confidence=completion.confidence,
        finish_reason=completion.finish_reason,
        sections=parsed.answer,
        raw_text=completion.text,
        tokens=_tokens(completion),
        cached=cached,
    )


def _constrained(question: Question, completion: Completion, cached: bool) -> QuestionAnswer:
    parsed = parse_value(question.response_format, completion.text)
    return QuestionAnswer(
        id=question.id,
        question=question.text,
        status="answered" if parsed.valid else "invalid",
        detail=parsed.problem,
        value=parsed.value if parsed.valid else None,
        valid=parsed.valid,
        confidence=completion.confidence,
        finish_reason=completion.finish_reason,
        reasoning=completion.reasoning,
        raw_text=completion.text,
        tokens=_tokens(completion),
        cached=cached,
    )


def skipped(question: Question, detail: str) -> QuestionAnswer:
    """Return the answer to a question whose condition does not hold."""
    return QuestionAnswer(id=question.id, question=question.text, status="skipped", detail=detail)


def refused(question: Question, detail: str) -> QuestionAnswer:
    """Return the answer to a question that the engine can't answer, while it can answer others."""
    return QuestionAnswer(id=question.id, question=question.text, status="refused", detail=detail)


def concerns_one_question(error: PipelineError) -> TypeGuard[Rejected]:
    """Return whether the engine refused this question, so that others about the same images may have answers."""
    refused_reasons = (Reason.ENGINE_REFUSED, Reason.QUESTION_TOO_LONG)
    return isinstance(error, Rejected) and error.reason in refused_reasons and not isinstance(error, CapabilityMissing)


def _tokens(completion: Completion) -> TokenCounts:
    return TokenCounts(prompt=completion.prompt_tokens, completion=completion.completion_tokens)
