"""Defines a task: what is asked about each image, how the answers look, and a digest of all that decides them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256

from sightstream.producers.tasks.placeholders import columns
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.question import Question
from sightstream.schemas.wire.request import Detail, TaskRef


@dataclass(frozen=True, slots=True)
class Task:
    """A task whose file was checked. The texts of its questions still hold their placeholders."""

    name: str
    description: str
    detail: Detail
    options: AnalysisOptions
    questions: tuple[Question, ...]
    digest: str

    @property
    def reference(self) -> TaskRef:
        """What stands on the requests that are made from this task."""
        return TaskRef(name=self.name, digest=self.digest)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that a row needs, in the order of the questions."""
        return tuple(dict.fromkeys(name for question in self.questions for name in columns(question.text)))


def task_digest(detail: Detail, options: AnalysisOptions, questions: tuple[Question, ...]) -> str:
    """Return 64 hex digits, the same for all files that ask the same.

    The order of keys inside a schema counts, as the order of the answer's fields follows it. Name, description, layout
    and comments of the file do not count.
    """
    asked = [question.model_dump(mode="json", by_alias=True, exclude_none=True) for question in questions]
    parts = {"detail": detail, "options": options.model_dump(mode="json", exclude_none=True), "questions": asked}
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()
