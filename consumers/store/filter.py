"""Chooses outcomes of a results file, as a WHERE clause; every value is bound, none becomes part of the SQL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sightstream.consumers.store.condition import Condition

Status = Literal["answered", "dead"]
Clause = tuple[str, tuple[object, ...]]

# The answers to the questions of one row of the view `outcomes`.
ANSWERS = """answers AS a WHERE outcomes.status = 'answered' AND a.topic = outcomes.topic
    AND a.partition = outcomes.partition AND a."offset" = outcomes."offset\""""


@dataclass(frozen=True, slots=True)
class Filter:
    """Chooses outcomes; None means any. `product_id` also finds dead letters by key, when their value is unreadable.

    All `conditions` must hold. `min_confidence` chooses results in which every question that was asked has a good
    answer of at least this probability.
    """

    product_id: str | None = None
    request_id: str | None = None
    status: Status | None = None
    task: str | None = None
    conditions: tuple[Condition, ...] = ()
    min_confidence: float | None = None

    @property
    def needs_answers(self) -> bool:
        """Whether it looks into answers or tasks, which files of older versions do not have."""
        return self.task is not None or self.min_confidence is not None or bool(self.conditions)

    def where(self) -> Clause:
        """Return the WHERE clause over the view `outcomes`, and the values that are bound in it."""
        clauses = list(self._clauses())
        if not clauses:
            return "", ()
        return "WHERE " + " AND ".join(text for text, _ in clauses), tuple(v for _, values in clauses for v in values)

    def _clauses(self) -> Iterator[Clause]:
        if self.product_id is not None:
            yield '(product_id = ? OR "key" = ?)', (self.product_id, self.product_id.encode())
        if self.request_id is not None:
            yield "request_id = ?", (self.request_id,)
        if self.status is not None:
            yield "status = ?", (self.status,)
        if self.task is not None:
            yield _OF_TASK, (self.task,)
        for condition in self.conditions:
            yield _HOLDS, (condition.question_id, condition.text)
        if self.min_confidence is not None:
            yield _ALL_SURE, (self.min_confidence,)


_OF_TASK = """EXISTS (SELECT 1 FROM results AS r WHERE outcomes.status = 'answered' AND r.topic = outcomes.topic
    AND r.partition = outcomes.partition AND r."offset" = outcomes."offset" AND r.task_name = ?)"""
_HOLDS = f"EXISTS (SELECT 1 FROM {ANSWERS} AND a.question_id = ? AND value_holds(a.value, ?))"  # noqa: S608
_ALL_SURE = f"""status = 'answered' AND NOT EXISTS (SELECT 1 FROM {ANSWERS} AND a.status <> 'skipped'
    AND (a.status <> 'answered' OR a.confidence IS NULL OR a.confidence < ?))"""  # noqa: S608
