"""Each entry is asked what the task asks, with its own columns filled in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sightstream.producers.batches import Batcher
from sightstream.producers.errors import BadItem
from sightstream.producers.request_template import RequestTemplate
from sightstream.producers.settings import PublisherSettings
from sightstream.producers.sources.csv_file import CsvFile
from sightstream.producers.sources.item import BulkSource, Item
from sightstream.producers.sources.jsonl_file import JsonlFile
from sightstream.producers.sources.requests import build_request
from sightstream.producers.tasks.rows import with_task
from sightstream.producers.tasks.task import Task
from sightstream.schemas.wire.codec import decode_request
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.request import ImageRequest
from tests.producers.fakes import NOW, RecordingListener
from tests.producers.tasks.files import TWO_STAGES, one_question, task

BASE: dict[str, Any] = {"product_id": "p-1", "image": {"uri": "s3://b/k"}, "attributes": {"title": "a mug"}}


def ask(of_task: Task, **fields: Any) -> ImageRequest:
    return build_request(with_task(Item("line 3", b"", BASE | fields), of_task), None, AnalysisOptions(), NOW)


def published(source: BulkSource, of_task: Task) -> tuple[list[ImageRequest], list[str]]:
    """The requests that a run would publish, read back from their bytes, and the problems."""
    listener = RecordingListener()
    batcher = Batcher(RequestTemplate(None, task=of_task), PublisherSettings(), listener, now=lambda: NOW)
    records = [record for batch in batcher.batches(source.items()) for record in batch.records]
    return [decode_request(record.value) for record in records], listener.problems


def test_a_request_carries_all_that_the_task_says(tmp_path: Path) -> None:
    asked = ask(read := task(tmp_path))
    assert asked.schema_version == 2
    assert asked.task == read.reference
    assert (asked.detail, asked.options) == ("low", read.options)
    assert [question.text for question in asked.all_questions] == [
        "What is sold as a mug?",
        "Describe the shirt, as in {}.",
    ]
    assert asked.all_questions[1].when == read.questions[1].when
    assert asked.attributes == {"title": "a mug"}


def test_the_product_id_is_a_column_and_always_the_requests_own(tmp_path: Path) -> None:
    asked = ask(task(tmp_path, one_question('text = "Is it {product_id}?"')), attributes={"product_id": "other"})
    assert asked.all_questions[0].text == "Is it p-1?"


def test_text_of_a_column_can_not_bring_placeholders_in(tmp_path: Path) -> None:
    asked = ask(task(tmp_path), attributes={"title": "{product_id} {{ } {none}"})
    assert asked.all_questions[0].text == "What is sold as {product_id} {{ } {none}?"


def test_an_entrys_own_options_and_detail_count(tmp_path: Path) -> None:
    asked = ask(task(tmp_path), options={"max_tokens": 9}, detail="high")
    assert (asked.options.max_tokens, asked.detail) == (9, "high")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (
            {"attributes": {"name": "x", "a": "y"}},
            "needs the column title, .*a, name, product_id",
        ),
        ({"attributes": {}}, "needs the column title"),
        ({"attributes": ["title"]}, "needs the column title"),
        ({"attributes": {"title": 7}}, r"attributes\.title: Input should be a valid string"),
        ({"attributes": {"title": "x" * 8192}}, "the question category: text: String should have at most 8192"),
        ({"question": "Why?"}, "question: the task says what is asked"),
        ({"questions": []}, "questions: the task says what is asked"),
        ({"task": {}}, "task: the task says what is asked"),
        ({"options": [1]}, "options"),
        ({"product_id": ""}, "product_id"),
    ],
)
def test_what_is_wrong_is_named_with_its_row(tmp_path: Path, fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadItem, match="^line 3: .*" + problem):
        ask(task(tmp_path), **fields)


def test_the_same_entry_has_the_same_id_and_another_question_another(tmp_path: Path) -> None:
    first = ask(task(tmp_path)).request_id
    assert ask(task(tmp_path)).request_id == first
    assert ask(task(tmp_path), attributes={"title": "a hat"}).request_id != first
    assert ask(task(tmp_path, TWO_STAGES.replace('["short", "long"]', '["long", "short"]'))).request_id != first
    assert ask(task(tmp_path, TWO_STAGES.replace('"low"', '"high"'))).request_id != first
    assert ask(task(tmp_path), image={"uri": "s3://b/l"}).request_id != first
    assert re.fullmatch("[0-9a-f]{32}", first)


def test_a_csv_files_rows_are_asked_and_an_empty_cell_is_named(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_text('product_id,uri,attr.title\np-1,s3://b/1,"a, {mug}"\np-2,s3://b/2,\n')
    (request,), (problem,) = published(CsvFile(source), task(tmp_path))
    assert request.all_questions[0].text == "What is sold as a, {mug}?"
    assert problem.startswith("line 3: the question category needs the column title")


def test_a_jsonl_files_lines_are_asked(tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text(
        '{"product_id": "p", "images": [{"uri": "s3://b/1"}, {"uri": "s3://b/2"}], "attributes": {"title": "mug"}}\n'
        '{"product_id": "p", "uri": "s3://b/1", "question": "Why?"}\n'
    )
    (request,), (problem,) = published(JsonlFile(source), task(tmp_path))
    assert len(request.all_images) == 2
    assert request.task is not None
    assert problem.startswith("line 2: question: the task says what is asked")
