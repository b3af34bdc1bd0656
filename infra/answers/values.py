"""Splits answers into plain values: one for each field of a JSON answer, with its probability."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue


@dataclass(frozen=True, slots=True)
class AnswerParts:
    """What is shown of the answer to one question. `fields` has the probabilities inside it by JSON Pointer."""

    question_id: str
    status: str
    value: JsonValue
    probability: float | None = None
    fields: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlainValue:
    """A value that is no object: `path` begins with the question's id, the names of fields follow."""

    path: tuple[str, ...]
    value: JsonValue
    probability: float | None

    @property
    def name(self) -> str:
        return dotted(self.path)


def plain_values(answer: AnswerParts) -> Iterator[PlainValue]:
    """Yield the values in their order. An object gives those of its fields; an array, or an empty object, is a value.

    An answer that is no object has one value, with the probability of the whole.
    """
    if isinstance(answer.value, dict) and answer.value:
        probabilities = {_steps(pointer): known for pointer, known in answer.fields.items()}
        yield from _values((answer.question_id,), answer.value, probabilities)
    else:
        yield PlainValue((answer.question_id,), answer.value, answer.probability)


def _values(
    path: tuple[str, ...], value: JsonValue, probabilities: Mapping[tuple[str, ...], float]
) -> Iterator[PlainValue]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _values((*path, name), inner, probabilities)
    else:
        yield PlainValue(path, value, probabilities.get(path[1:]))


def _steps(pointer: str) -> tuple[str, ...]:
    """Return the names in a JSON Pointer (RFC 6901)."""
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])


def dotted(path: tuple[str, ...]) -> str:
    r"""Return the path with dots between its names; a dot or backslash inside a name gets a backslash before it."""
    return ".".join(name.replace("\\", "\\\\").replace(".", "\\.") for name in path)


def as_text(value: JsonValue) -> str:
    """Return a text as it is, null as nothing, and anything else as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)
