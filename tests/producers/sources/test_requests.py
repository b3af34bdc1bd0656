"""The same input gives the same request_id; another question about another image gives another."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from sightstream.producers.errors import BadItem
from sightstream.producers.sources.item import Item
from sightstream.producers.sources.requests import build_request, encode_request, request_identity
from sightstream.schemas.wire import codec, request_limits
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from tests.producers.fakes import NOW, request
from tests.schemas.wire import strategies as wire

BASE: dict[str, Any] = {"product_id": "p", "image": {"uri": "s3://b/k"}}


def identity(**fields: Any) -> str:
    return build_request(Item("line 1", b"", BASE | fields), "Why?", AnalysisOptions(), NOW).request_id


def test_the_identity_is_frozen() -> None:
    """Were this to change, publishing a source again would publish new requests."""
    assert identity() == "0a1f924016ee8915e333eb911ff7fb67"


@pytest.mark.parametrize(
    "fields",
    [
        {"product_id": "q"},
        {"question": "How?"},
        {"options": {"seed": 1}},
        {"options": {"temperature": 0.5}},
        {"image": {"uri": "s3://b/l"}},
        {"image": {"uri": "s3://b/k", "version_id": "1"}},
        {"image": {"uri": "s3://b/k", "sha256": "a" * 64}},
    ],
)
def test_question_and_image_make_the_identity(fields: dict[str, Any]) -> None:
    assert identity(**fields) != identity()


@pytest.mark.parametrize("fields", [{"attributes": {"a": "b"}}, {"deadline": NOW}, {"submitted_at": NOW}])
def test_the_rest_does_not(fields: dict[str, Any]) -> None:
    assert identity(**fields) == identity()


def test_a_given_request_id_is_kept() -> None:
    assert identity(request_id="mine") == "mine"


@given(wire.requests, wire.requests)
def test_equal_identities_mean_equal_questions(one: ImageRequest, other: ImageRequest) -> None:
    def asked(request: ImageRequest) -> object:
        return request.product_id, request.image, request.question, request.options

    assert (request_identity(one) == request_identity(other)) == (asked(one) == asked(other))


@pytest.mark.parametrize("fields", [{}, {"response_format": {"type": "choice", "choices": ["mug", "cap"]}}])
def test_a_request_is_encoded_once(fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []

    def counting_encode(given: ImageRequest) -> bytes:
        encoded.append(codec.encode(given))
        return encoded[-1]

    monkeypatch.setattr(request_limits, "encode", counting_encode)
    record = encode_request(Item("line 1", b"", BASE | fields), "Why?", AnalysisOptions(), NOW)
    assert encoded == [record.value]
    assert codec.decode_request(record.value).request_id == record.request.request_id


def test_an_over_size_request_is_a_bad_item() -> None:
    image = ImageRef(uri="s3://" + "\U0001f457" * 8187)
    large = request(1, attributes={f"a{n}": "\x01" * 1024 for n in range(32)}, image=image, question="\x01" * 8192)
    with pytest.raises(BadItem, match=r"line 7: \d+ bytes are over the cap"):
        build_request(Item("line 7", b"", large.model_dump()), "Why?", AnalysisOptions(), NOW)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}}, "#: fits every"),
        ({"job_id": "j"}, "job_id: reserved"),
        ({"options": {"max_tokens": 4097}}, "max_tokens: Input should be"),
    ],
)
def test_what_a_worker_would_refuse_is_a_bad_item(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadItem, match=rf"^line 1: .*{problem}"):
        identity(**fields)


def test_a_problem_names_location_and_field_and_no_value() -> None:
    fields = {"product_id": "p", "image": {"uri": "https://user:c4n4ry@host/\x00"}}
    with pytest.raises(BadItem, match=r"^line 7: image\.uri: ") as caught:
        build_request(Item("line 7", b"", fields), "Why?", AnalysisOptions(), NOW)
    assert "c4n4ry" not in str(caught.value)
