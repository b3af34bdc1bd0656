"""JSONL: one request a line; a broken line costs that line alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.producers.errors import BadItem, SourceError
from sightstream.producers.sources.columns import OUR_NAMES, Columns
from sightstream.producers.sources.item import Item
from sightstream.producers.sources.jsonl_file import JsonlFile
from sightstream.producers.sources.requests import build_request
from sightstream.schemas.wire.codec import decode_request, encode
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.request import ImageRequest
from tests.producers.fakes import NOW
from tests.schemas.wire import strategies as wire


def read(folder: Path, text: str | bytes, meaning: Columns = OUR_NAMES) -> list[Item]:
    path = folder / "source.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(JsonlFile(path, meaning).items())


def build(item: Item) -> ImageRequest:
    return build_request(item, "What is this?", AnalysisOptions(max_tokens=99), NOW)


def test_the_short_form(tmp_path: Path) -> None:
    (item,) = read(tmp_path, '{"product_id": "p1", "uri": "s3://b/k", "version_id": "v"}\n')
    request = build(item)
    assert (request.product_id, request.all_images[0].uri, request.all_images[0].version_id) == ("p1", "s3://b/k", "v")
    assert request.question == "What is this?"
    assert request.options.max_tokens == 99


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_null_is_not_given(tmp_path: Path, start: bytes, end: bytes) -> None:
    """As pandas and others write what is missing."""
    line = (
        b'{"uri": "s3://b/k", "version_id": null, "product_id": "p1", "question": null, "deadline": null,'
        b' "options": {"max_tokens": 7, "seed": null}, "attributes": null, "image": null}'
    )
    for item in read(tmp_path, start + line + end + end + line + end):
        request = build(item)
        assert (request.product_id, request.question, request.attributes) == ("p1", "What is this?", {})
        assert request.options == AnalysisOptions(max_tokens=7)
        assert request.image is not None


def test_a_shops_own_fields(tmp_path: Path) -> None:
    line = '{"sku": "12", "image_url": "s3://b/k", "title": "Red shoe", "price": 5, "attributes": {"a": "b"}}'
    (item,) = read(tmp_path, line, Columns("sku", "image_url", "attributes"))
    request = build(item)
    assert (request.product_id, request.all_images[0].uri) == ("12", "s3://b/k")
    assert request.attributes == {"title": "Red shoe", "price": "5", "a": "b"}
    (item,) = read(tmp_path, line, Columns("sku", "image_url", ignored=("title", "price")))
    assert build(item).attributes == {"a": "b"}


def test_a_line_may_ask_several_questions_about_several_images(tmp_path: Path) -> None:
    line = {
        "product_id": "p1",
        "images": [{"uri": "s3://b/1"}, {"uri": "s3://b/2"}],
        "questions": [
            {"id": "kind", "text": "?", "response_format": {"type": "choice", "choices": ["mug", "plate"]}},
            {"id": "why", "text": "Why?", "when": {"question": "kind", "in": ["mug"]}},
        ],
    }
    (item,) = read(tmp_path, json.dumps(line))
    request = build(item)
    assert request.schema_version == 2
    assert [question.id for question in request.all_questions] == ["kind", "why"]
    assert decode_request(encode(request)) == request


def test_options_of_a_line_are_laid_over_the_common_ones(tmp_path: Path) -> None:
    (item,) = read(tmp_path, '{"product_id": "p1", "uri": "s3://b/k", "options": {"seed": 1}}')
    assert build(item).options == AnalysisOptions(max_tokens=99, seed=1)


@given(wire.requests)
def test_a_request_as_on_the_wire_comes_through_untouched(
    tmp_path_factory: pytest.TempPathFactory, request: ImageRequest
) -> None:
    (item,) = read(tmp_path_factory.mktemp("jsonl"), encode(request) + b"\n")
    assert build(item) == request


def test_the_product_may_stand_in_another_field(tmp_path: Path) -> None:
    (item,) = read(tmp_path, '{"sku": "12", "uri": "s3://b/k"}', Columns("sku"))
    assert build(item).product_id == "12"


@pytest.mark.parametrize("name", ["product_id", "request_id"])
def test_a_whole_number_is_an_id(tmp_path: Path, name: str) -> None:
    lines = [json.dumps({"product_id": "p", "uri": "s3://b/k", name: value}) for value in (12, 12.0)]
    assert [getattr(build(item), name) for item in read(tmp_path, "\n".join(lines))] == ["12", "12"]
    for value in (True, 0.5, 2.0**60, [1]):
        (item,) = read(tmp_path, json.dumps({"product_id": "p", "uri": "s3://b/k", name: value}))
        with pytest.raises(BadItem, match=f"line 1: {name}"):
            build(item)


def test_an_array_of_objects_says_what_a_line_is(tmp_path: Path) -> None:
    first, *_ = read(tmp_path, '[\n{"product_id": "p", "uri": "s3://b/k"}\n]')
    assert first.problem == "the line is not one JSON object: Expecting value (column 3)"


def test_broken_lines_are_named_and_the_others_go_on(tmp_path: Path) -> None:
    good = json.dumps({"product_id": "p", "uri": "s3://b/k"}).encode()
    lines = [
        good,
        b"",
        b"[1]",
        b"{",
        b"\xff",
        b"[" * 100_000,
        good[:-1] + b', "uri": "s3://b/2"}',
        good[:-1] + b', "image": {"uri": "s3://b/2"}}',
        good[:-1] + b', "colour": "red"}',
        good[:-1] + b', "options": 3}',
        good[:-1] + b', "options": {"temperature": NaN}}',
        good[:-1] + b', "question": "' + b"x" * 1024**2 + b'"}',
        good,
    ]
    built, problems = 0, []
    for item in read(tmp_path, b"\n".join(lines)):
        try:
            built += bool(build(item))
        except BadItem as error:
            problems.append(str(error))
    assert built == 2
    starts = [
        "line 3: the line is not a JSON object",
        "line 4: ",
        "line 5: the line is not UTF-8",
        "line 6: nested too deep",
        "line 7: a key occurs twice",
        "line 8: give either image or uri",
        "line 9: colour: Extra inputs",
        "line 10: options is not an object",
        "line 11: options.temperature",
        "line 12: the line is longer",
    ]
    assert [problem[: len(start)] for problem, start in zip(problems, starts, strict=True)] == starts


@given(st.lists(st.binary(max_size=60) | st.sampled_from([b'{"product_id":"p"}', b'{"options":[]}', b"null"])))
def test_any_bytes_give_items_or_a_source_error(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    try:
        items = read(tmp_path_factory.mktemp("jsonl"), b"\n".join(lines))
    except SourceError as error:
        assert "utf-16" in str(error)  # noqa: PT017
        return
    for item in items:
        with pytest.raises(BadItem, match=r"^lines? "):
            build(item)
