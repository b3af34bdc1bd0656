"""Parsing s3:// references: bucket and key exactly as written, or refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightstream.pipeline.errors import Rejected
from sightstream.pipeline.fetch.s3.url import parse_s3_url
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.schemas.wire.dead_letter import Reason
from tests.pipeline.fetch.urls import OTHER_SCHEMES


@settings(max_examples=300, deadline=None)
@given(OTHER_SCHEMES)
def test_any_text_is_parsed_or_refused(uri: str) -> None:
    with contextlib.suppress(Rejected):
        parse_s3_url(uri, FetchSettings())


@given(st.text(max_size=30).map(lambda tail: f"s3://bucket/{tail}"))
def test_a_key_is_everything_after_the_bucket(uri: str) -> None:
    try:
        url = parse_s3_url(uri, FetchSettings())
    except Rejected:
        return
    assert f"s3://{url.bucket}/{url.key}" == uri
    assert not {".", ".."} & set(url.key.split("/"))


@pytest.mark.parametrize(
    "key", [".", "..", "a/..", "../a", "a/../b", "a/./b", "a//../b", "x" * 1025, "ü" * 513, "\ud800"]
)
def test_a_key_that_other_programs_would_change_is_refused(key: str) -> None:
    with pytest.raises(Rejected) as caught:
        parse_s3_url(f"s3://bucket/{key}", FetchSettings())
    assert caught.value.reason is Reason.UNSUPPORTED_URI
