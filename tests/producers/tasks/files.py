"""Writes task files for tests."""

from __future__ import annotations

from pathlib import Path

from sightstream.producers.tasks.read import read_task
from sightstream.producers.tasks.task import Task

TWO_STAGES = """
name = "two-stages"
description = "A category, then its attributes."
detail = "low"

[options]
max_tokens = 64

[[questions]]
id = "category"
text = "What is sold as {title}?"
choices = ["shirt", "mug"]

[[questions]]
id = "shirt"
text = "Describe the shirt, as in {{}}."
when = { question = "category", in = ["shirt"] }
schema = { type = "object", properties = { sleeve = { enum = ["short", "long"] } }, required = ["sleeve"] }
"""


def write_task(folder: Path, text: str = TWO_STAGES) -> Path:
    """Return a new task file with this text."""
    file = folder / "task.toml"
    file.write_text(text, encoding="utf-8")
    return file


def task(folder: Path, text: str = TWO_STAGES) -> Task:
    """Return the task of a file with this text."""
    return read_task(write_task(folder, text))


def one_question(lines: str) -> str:
    """Return the text of a file with one question, which `lines` complete."""
    return f'name = "t"\n[[questions]]\nid = "q"\n{lines}\n'
