"""Reads and checks a task file. Every problem names the file, the line or the key, and what to change."""

from __future__ import annotations

import json
import math
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sightstream.producers.errors import TaskError
from sightstream.producers.tasks.placeholders import check_braces
from sightstream.producers.tasks.possible_answers import check_conditions
from sightstream.producers.tasks.response_formats import response_format
from sightstream.producers.tasks.task import Task, task_digest
from sightstream.producers.tasks.task_file import TaskFile, TaskQuestion
from sightstream.schemas.wire.question import Question
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.request_limits import check_publishable
from sightstream.schemas.wire.validation_message import explain

MAX_FILE_BYTES = 1024**2
READY = Path(__file__).parent / "ready"


def ready_tasks() -> list[Path]:
    """Return the files of the tasks that come with the package, by name."""
    return sorted(READY.glob("*.toml"))


def task_path(text: str) -> Path:
    """Return the file that `text` names: a path that ends with `.toml`, or a ready task. Raises TaskError."""
    if text.endswith(".toml") or "/" in text:
        return Path(text)
    ready = {path.stem: path for path in ready_tasks()}
    if text not in ready:
        raise TaskError(f"there is no ready task {text}; known: {', '.join(ready)}; the name of a file ends with .toml")
    return ready[text]


def find_task(text: str) -> Task:
    """Return the task of a file or of a ready task's name. Blocks on the disk. Raises TaskError."""
    return read_task(task_path(text))


def read_task(path: Path) -> Task:
    """Return the task of a file. Blocks on the disk. Raises TaskError."""
    try:
        return _task(_file(path), path.parent)
    except ValidationError as error:
        problem = explain(error)
    except RecursionError:
        problem = "it is nested too deep"
    except OSError as error:
        problem = f"it can't be read: {error.strerror}"
    except ValueError as error:  # of TOML, with line and column, and of our own checks
        problem = str(error)
    raise TaskError(f"{path}: {problem}")


def _file(path: Path) -> TaskFile:
    with path.open("rb") as file:
        text = file.read(MAX_FILE_BYTES + 1)
    if len(text) > MAX_FILE_BYTES:
        raise ValueError(f"it is larger than {MAX_FILE_BYTES} bytes, so it is no task file")
    given = tomllib.loads(text.decode("utf-8-sig"))
    _check_json(given, "")
    return TaskFile.model_validate_json(json.dumps(given), strict=True)


def _check_json(value: Any, path: str) -> None:
    """Raise ValueError for what TOML can write and JSON can't: times, and numbers that are none."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_json(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            _check_json(inner, f"{path}.{at}")
    elif not isinstance(value, str | bool | int | float) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"{path}: {value} has no form in JSON; write it as a string")


def _task(file: TaskFile, folder: Path) -> Task:
    questions = tuple(_question(question, f"questions.{at}", folder) for at, question in enumerate(file.questions))
    check_conditions(questions)
    digest = task_digest(file.detail, file.options, questions)
    task = Task(file.name, file.description, file.detail, file.options, questions, digest)
    check_publishable(_sample_request(task))
    return task


def _question(given: TaskQuestion, path: str, folder: Path) -> Question:
    try:
        check_braces(given.text)
    except ValueError as error:
        raise ValueError(f"{path}.text: {error}") from None
    names = ("id", "text", "reasoning", "max_tokens", "temperature", "top_p", "seed", "when")
    fields = {name: getattr(given, name) for name in names}
    return Question(**fields, response_format=response_format(given, path, folder))


def _sample_request(task: Task) -> ImageRequest:
    """Return a request as the task makes them, with its placeholders, to see what is wrong with all of them."""
    return ImageRequest(
        request_id="sample",
        product_id="sample",
        image=ImageRef(uri="s3://sample/sample.jpg"),
        questions=task.questions,
        options=task.options,
        detail=task.detail,
        task=task.reference,
        submitted_at=datetime.fromtimestamp(0, UTC),
    )
