"""Decides whether a question is asked, by the answer to an earlier one."""

from __future__ import annotations

from sightstream.pipeline.question_answer import CheckedAnswer
from sightstream.schemas.wire.question import Condition


def why_skipped(condition: Condition, earlier: CheckedAnswer) -> str | None:
    """Return why the question is not asked, None where it is. Never raises."""
    if earlier.status != "answered":
        return f"the question {condition.question} is {earlier.status}"
    value: object = earlier.value
    if condition.field is not None:
        if not isinstance(value, dict) or condition.field not in value:
            return f"the answer to {condition.question} has no field {condition.field}"
        value = value[condition.field]
    if any(is_same_json(value, wanted) for wanted in condition.in_):
        return None
    name = condition.question if condition.field is None else f"{condition.field} of {condition.question}"
    return f"{name} is none of the values that the condition names"


def is_same_json(one: object, other: object) -> bool:
    """Return whether two JSON values are the same. For JSON, true is no number, and 1.0 is the number 1."""
    return _kind(one) is _kind(other) and one == other


def _kind(value: object) -> type:
    return float if isinstance(value, int) and not isinstance(value, bool) else type(value)
