"""Flattens outcomes into columns: one for each plain value of an answer, and one for its probability beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from pydantic import JsonValue

from sightstream.infra.answers.values import AnswerParts, dotted, plain_values


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the outcome itself, such as product_id; or the value at `path`, its probability, or its status."""

    path: tuple[str, ...]
    kind: Literal["outcome", "value", "confidence", "status"] = "value"


FlatRow = dict[Column, JsonValue]


def flat_row(outcome: dict[str, JsonValue], answers: Iterable[AnswerParts]) -> FlatRow:
    """Return the columns of one outcome, in their order. A status has one only where a question was not answered."""
    row = {Column((name,), "outcome"): value for name, value in outcome.items()}
    for answer in answers:
        row |= _answer(answer)
    return row


def _answer(answer: AnswerParts) -> FlatRow:
    whole = (answer.question_id,)
    if answer.status != "answered":
        return {Column(whole): None, Column(whole, "status"): answer.status}
    row: FlatRow = {}
    for plain in plain_values(answer):
        row[Column(plain.path)] = plain.value
        if plain.probability is not None:
            row[Column(plain.path, "confidence")] = plain.probability
    if answer.probability is not None:
        row[Column(whole, "confidence")] = answer.probability
    return row


def merged(columns: Iterable[Column]) -> tuple[Column, ...]:
    """Return each column once: those of the outcome, then question by question as they first occur."""
    groups: dict[tuple[bool, str], dict[Column, None]] = {}
    for column in columns:
        group = (True, "") if column.kind == "outcome" else (False, column.path[0])
        groups.setdefault(group, {})[column] = None
    return tuple(column for group in groups.values() for column in group)


@lru_cache(maxsize=256)
def column_names(columns: tuple[Column, ...]) -> dict[Column, str]:
    """Return a name for each column, all different: `look.colour`, `look.colour_confidence`.

    A question may have the name of another column. It then gets an underscore at its end, as often as is needed.
    """
    names: dict[Column, str] = {}
    used: set[str] = set()
    for kind in ("outcome", "value", "confidence", "status"):
        for column in (each for each in columns if each.kind == kind):
            name = dotted(column.path) + (f"_{kind}" if kind in ("confidence", "status") else "")
            while name in used:
                name += "_"
            used.add(name)
            names[column] = name
    return names
