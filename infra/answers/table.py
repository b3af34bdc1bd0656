"""Prints the answers of one result: a table of its questions, or the four sections of a result of version 1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sightstream.infra.answers.values import AnswerParts, as_text, plain_values

if TYPE_CHECKING:
    from sightstream.schemas.wire.question_answer import QuestionAnswer
    from sightstream.schemas.wire.result import Answer
    from sightstream.schemas.wire.result_v2 import AnyResult


def print_result(result: AnyResult) -> None:
    """Print the answers for a person, with everything escaped that a terminal would obey."""
    from sightstream.schemas.wire.result import ImageResult

    if isinstance(result, ImageResult):
        _print_sections(result.answer)
    else:
        _print_answers(result.answers)


def has_answer(result: AnyResult) -> bool:
    """Return whether any question of the result was answered; that of version 1 always is."""
    from sightstream.schemas.wire.result import ImageResult

    return isinstance(result, ImageResult) or any(answer.status == "answered" for answer in result.answers)


def _print_sections(answer: Answer) -> None:
    from rich.console import Console
    from rich.text import Text

    from sightstream.schemas.wire.dead_letter import printable

    for section, text in answer.model_dump().items():
        lines = "\n  ".join(printable(line) for line in text.splitlines())
        Console().print(Text(f"{section.upper()}\n  {lines}\n"), soft_wrap=True)


def _print_answers(answers: tuple[QuestionAnswer, ...]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from sightstream.schemas.wire.dead_letter import printable

    table = Table("question", "answer", "confidence", "status")
    for answer in answers:
        for cells in _rows(answer):
            table.add_row(*(Text(printable(cell)) for cell in cells))
    Console().print(table)


def parts_of(answer: QuestionAnswer) -> AnswerParts:
    """Return what is shown of an answer."""
    confidence = answer.confidence
    return AnswerParts(answer.id, answer.status, answer.value, confidence.value, confidence.fields)


def _rows(answer: QuestionAnswer) -> Iterator[tuple[str, str, str, str]]:
    """Yield a row for the question and, where the answer is an object, one for each field."""
    parts = parts_of(answer)
    is_object = isinstance(answer.value, dict)
    yield answer.id, "" if is_object else _shown(answer), percent(parts.probability), answer.status
    if is_object:
        for field in plain_values(parts):
            yield field.name, as_text(field.value), percent(field.probability), ""


def _shown(answer: QuestionAnswer) -> str:
    if answer.value is None:
        return answer.detail or ("null" if answer.status == "answered" else "")
    return as_text(answer.value)


def summaries(answer: AnswerParts) -> Iterator[tuple[str, str]]:
    """Yield the name of each value, and the value with its probability behind it; or why there is no value."""
    if answer.status != "answered":
        yield answer.question_id, f"({answer.status})"
        return
    for plain in plain_values(answer):
        probability = f" ({percent(plain.probability)})" if plain.probability is not None else ""
        yield plain.name, as_text(plain.value) + probability


def percent(probability: float | None) -> str:
    """Return a probability for people, nothing where there is none."""
    return "" if probability is None else f"{probability:.1%}"
