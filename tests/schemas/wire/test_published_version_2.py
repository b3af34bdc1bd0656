"""The published schemas of version 2 accept what the models accept, and refuse what JSON Schema can refuse."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from sightstream.schemas.wire.codec import WireError, decode_request, decode_result, encode
from sightstream.schemas.wire.published_schemas import published_schemas
from tests.schemas.wire import strategies as wire

FIXTURES = Path(__file__).parent / "fixtures" / "v2"
REQUEST = Draft202012Validator(json.loads(published_schemas()["image-request.v2.schema.json"]))
RESULT = Draft202012Validator(json.loads(published_schemas()["image-result.v2.schema.json"]))
FULL: dict[str, Any] = json.loads((FIXTURES / "request-full.json").read_text(encoding="utf-8"))
MINIMAL: dict[str, Any] = json.loads((FIXTURES / "request-minimal.json").read_text(encoding="utf-8"))

Steps = tuple[str | int, ...]
OTHER_VALUES: list[Any] = [None, True, 0, -1, 1.5, 10**9, "", "x", "\x00", "x" * 300, [], [None], {}, {"more": 1}]


def accepts(decode: Callable[[bytes], object], document: object) -> bool:
    try:
        decode(json.dumps(document).encode())
    except WireError:
        return False
    return True


def paths(node: Any, before: Steps = ()) -> list[Steps]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [before, *(path for step, child in children for path in paths(child, (*before, step)))]


def parent(document: Any, path: Steps) -> Any:
    for step in path[:-1]:
        document = document[step]
    return document


@st.composite
def changed(draw: st.DrawFn, records: st.SearchStrategy[BaseModel]) -> Any:
    """A valid document in which something was removed, added or replaced, or nothing was."""
    document = json.loads(encode(draw(records)))
    for _ in range(draw(st.integers(0, 2))):
        path = draw(st.sampled_from(paths(document)[1:]))
        holder = parent(document, path)
        match draw(st.sampled_from(["remove", "replace", "add"])):
            case "remove":
                del holder[path[-1]]
            case "replace":
                holder[path[-1]] = copy.deepcopy(draw(st.sampled_from(OTHER_VALUES)))
            case _ if isinstance(holder, dict):
                holder[draw(st.sampled_from(["more", "image", "images", "question", "reasoning", "when"]))] = None
        if not document:
            break
    return document


@given(changed(wire.requests_v2))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_request_that_the_model_accepts_fits_the_published_schema(document: Any) -> None:
    if document.get("schema_version") == 2 and accepts(decode_request, document):
        REQUEST.validate(document)


@given(changed(wire.results_v2))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_result_that_the_model_accepts_fits_the_published_schema(document: Any) -> None:
    if document.get("schema_version") == 2 and accepts(decode_result, document):
        RESULT.validate(document)


def with_change(path: Steps, value: Any, document: dict[str, Any] = FULL) -> dict[str, Any]:
    other = copy.deepcopy(document)
    parent(other, path)[path[-1]] = value
    return other


def without(path: Steps) -> dict[str, Any]:
    other = copy.deepcopy(FULL)
    del parent(other, path)[path[-1]]
    return other


CHOICES: Steps = ("questions", 0, "response_format", "choices")
JSON: Steps = ("questions", 1, "response_format", "json_schema")


@pytest.mark.parametrize("document", [
    with_change(("more",), 1),
    with_change(("image",), {"uri": "s3://b/k"}),
    with_change(("images",), []),
    with_change(("images",), [{"uri": "s3://b/k"}] * 17),
    with_change(("images", 0, "uri"), ""),
    with_change(("question",), "?"),
    with_change(("questions",), []),
    with_change(("questions",), [FULL["questions"][0]] * 17),
    with_change(("response_format",), FULL["questions"][0]["response_format"]),
    with_change(("reasoning",), True),
    with_change(("questions", 0, "id"), "two words"),
    with_change(("questions", 0, "text"), ""),
    with_change(("questions", 0, "max_tokens"), 4097),
    with_change(("questions", 0, "reasoning"), "yes"),
    with_change(("questions", 0, "response_format"), {"type": "xml"}),
    with_change(("questions", 0, "response_format"), {"choices": ["a", "b"]}),
    with_change(("questions", 0, "response_format", "more"), 1),
    with_change(CHOICES, ["a"]),
    with_change(CHOICES, ["a", "a"]),
    with_change(CHOICES, ["a", ""]),
    with_change(CHOICES, [str(index) for index in range(65)]),
    with_change((*JSON, "name"), "a b"),
    with_change((*JSON, "strict"), False),
    with_change((*JSON, "schema"), True),
    with_change((*JSON, "schema_"), {}),
    without((*JSON, "schema")),
    with_change(("questions", 1, "when", "in"), []),
    with_change(("questions", 1, "when", "in"), [{}]),
    with_change(("questions", 1, "when", "in_"), ["x"]),
    with_change(("detail",), "medium"),
    with_change(("task", "digest"), "A" * 64),
    with_change(("task",), {"name": "x"}),
    with_change(("job_id",), ""),
    without(("questions",)),
    without(("images",)),
    without(("submitted_at",)),
    with_change(("image",), None, MINIMAL),
    with_change(("question",), None, MINIMAL),
    with_change(("response_format",), None, MINIMAL),
])  # fmt: skip
def test_model_and_published_schema_refuse_the_same(document: dict[str, Any]) -> None:
    assert not accepts(decode_request, document)
    assert not REQUEST.is_valid(document)


@pytest.mark.parametrize("document", [
    FULL,
    MINIMAL,
    with_change(("image",), None),
    with_change(("question",), None),
    with_change(("response_format",), {"type": "sections"}),
    with_change(("reasoning",), None),
    with_change(("images",), None, MINIMAL),
    with_change(("questions",), None, MINIMAL),
    with_change(("reasoning",), True, MINIMAL),
])  # fmt: skip
def test_model_and_published_schema_accept_the_same(document: dict[str, Any]) -> None:
    assert accepts(decode_request, document)
    REQUEST.validate(document)


@pytest.mark.parametrize(("path", "value"), [
    (("questions", 1, "id"), "category"),
    (("questions", 0, "when"), {"question": "category", "in": ["mug"]}),
    (("questions", 0, "when"), {"question": "shirt", "in": ["mug"]}),
    (("questions", 2, "when"), {"question": "nothing", "in": ["mug"]}),
])  # fmt: skip
def test_a_repeated_id_and_a_condition_on_no_earlier_question_are_refused(path: Steps, value: Any) -> None:
    """JSON Schema cannot say this, so the model alone does."""
    assert not accepts(decode_request, with_change(path, value))


@pytest.mark.parametrize("version", [1, None])
def test_new_fields_need_the_new_version(version: int | None) -> None:
    document = {name: value for name, value in FULL.items() if name != "schema_version"}
    if version is not None:
        document["schema_version"] = version
    with pytest.raises(WireError, match="schema_version"):
        decode_request(json.dumps(document).encode())
