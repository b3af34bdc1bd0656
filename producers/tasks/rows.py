"""Asks the questions of a task about an entry of a source, filled in from the entry's own columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pydantic import ValidationError

from sightstream.producers.errors import BadItem
from sightstream.producers.sources.item import Item
from sightstream.producers.tasks.placeholders import MissingColumn, fill, has_braces
from sightstream.producers.tasks.task import Task
from sightstream.schemas.wire.question import Question
from sightstream.schemas.wire.validation_message import explain

# An entry that brings one of these asks something else than the task.
OF_THE_TASK = ("question", "questions", "response_format", "reasoning", "task")


def with_task(item: Item, task: Task) -> Item:
    """Return the entry with the task's questions, and with its options and detail where it has none of its own.

    Raises BadItem where the entry asks something itself, or lacks a column that a question needs.
    """
    if item.problem is not None:
        return item
    for name in OF_THE_TASK:
        if name in item.fields:
            raise BadItem(f"{item.location}: {name}: the task says what is asked; remove it, or publish without a task")
    own_options = item.fields.get("options", {})
    options = {**task.options.model_dump(), **own_options} if isinstance(own_options, Mapping) else own_options
    questions = filled_questions(task, row_of(item), item.location)
    asked = {"detail": task.detail, "task": task.reference, **item.fields, "questions": questions, "options": options}
    return replace(item, fields=asked)


def row_of(item: Item) -> dict[str, str]:
    """Return what placeholders may name: the attributes, and `product_id`, which is always the request's own."""
    attributes = item.fields.get("attributes")
    named = attributes if isinstance(attributes, Mapping) else {}
    row = {str(name): str(value) for name, value in named.items()}
    return row | {"product_id": str(item.fields.get("product_id", ""))}


def filled_questions(task: Task, row: Mapping[str, str], location: str) -> tuple[Question, ...]:
    """Return the questions with the row's values. Raises BadItem that begins with `location`."""
    return tuple(_filled(question, row, location) for question in task.questions)


def _filled(question: Question, row: Mapping[str, str], location: str) -> Question:
    if not has_braces(question.text):
        return question
    try:
        return Question(**{**dict(question), "text": fill(question.text, row)})
    except MissingColumn as error:
        raise BadItem(
            f"{location}: the question {question.id} needs the column {error.args[0]}, which is empty or missing here; "
            f"there are {', '.join(sorted(row))}"
        ) from None
    except ValidationError as error:
        raise BadItem(f"{location}: the question {question.id}: {explain(error)}") from None
