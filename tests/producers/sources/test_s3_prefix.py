"""An S3 prefix, on a listing that is made up; tests/producers/test_publish_command.py lists a real bucket."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from sightstream.producers.errors import SourceError
from sightstream.producers.sources.s3_prefix import S3Prefix
from sightstream.schemas.connections.s3 import S3Settings


class Listing:
    """Imitates the client and its paginator."""

    def __init__(self, *pages: list[str] | Exception) -> None:
        self.pages = pages
        self.asked: dict[str, str] = {}
        self.etag: str | None = None
        self.starts: dict[str, bytes] = {}
        self.reads: list[tuple[str, str]] = []

    def get_object(self, **asked: str) -> dict[str, Any]:
        key = asked["Key"].rpartition("/")[2]
        if key not in self.starts:
            raise ClientError({"Error": {"Code": "InvalidRange"}}, "GetObject")
        self.reads.append((asked["Key"], asked["Range"]))
        return {"Body": io.BytesIO(self.starts[key])}

    def get_paginator(self, name: str) -> Listing:
        assert name == "list_objects_v2"
        return self

    def paginate(self, **asked: str) -> Iterator[dict[str, Any]]:
        self.asked = asked
        for page in self.pages:
            if isinstance(page, Exception):
                raise page
            contents = [
                {"Key": key, "ETag": self.etag or f'"{key}"', "Size": 0 if key.endswith("/") else 9} for key in page
            ]
            yield {"Contents": contents} if page else {}


def source(uri: str, *pages: list[str] | Exception, rule: str = "parent") -> S3Prefix:
    return S3Prefix(uri, S3Settings(), rule, client=Listing(*pages))


def test_every_page_is_listed_and_other_objects_are_passed_over() -> None:
    found = source("s3://shop/in/", ["in/p1/a.jpg", "in/p1/notes.txt", "in/p1/"], [], ["in/p2/b 1.PNG", "in/c.jpg"])
    assert [(item.fields["image"]["uri"], item.fields["product_id"]) for item in found.items()] == [
        ("s3://shop/in/p1/a.jpg", "p1"),
        ("s3://shop/in/p2/b 1.PNG", "p2"),
        ("s3://shop/in/c.jpg", "c"),
    ]


def test_an_object_without_an_ending_is_looked_into_and_the_rest_is_counted() -> None:
    listing = Listing(["in/a.heic", "in/b", "in/c", "in/d", "in/e.txt"])
    listing.starts = {"b": b"GIF89a" + bytes(300), "c": b"<html>"}
    found = S3Prefix("s3://shop/in/", S3Settings(), client=listing)
    assert [item.location for item in found.items()] == ["in/a.heic", "in/b"]
    assert listing.reads == [("in/b", "bytes=0-271"), ("in/c", "bytes=0-271")]
    assert found.skipped.counts == {"without an ending": 2, ".txt": 1}


def test_the_path_starts_at_the_prefixes_last_slash() -> None:
    assert [
        item.fields["product_id"] for item in source("s3://shop/in/p1", ["in/p1-a.jpg", "in/p1/b.jpg"]).items()
    ] == [
        "p1-a",
        "p1",
    ]
    assert [item.fields["product_id"] for item in source("s3://shop", ["x/y.jpg"], rule="0").items()] == ["x"]


def test_bucket_and_prefix_are_what_was_typed() -> None:
    listing = Listing([])
    assert list(S3Prefix("s3://shop/a/b c", S3Settings(), client=listing).items()) == []
    assert listing.asked == {"Bucket": "shop", "Prefix": "a/b c"}


def test_an_overwritten_object_has_another_raw() -> None:
    (one,) = source("s3://shop/", ["a.jpg"]).items()
    listing = Listing(["a.jpg"])
    listing.etag = "new"
    (other,) = S3Prefix("s3://shop/", S3Settings(), client=listing).items()
    assert one.raw != other.raw


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ClientError({"Error": {"Code": "NoSuchBucket"}}, "ListObjectsV2"), "s3://shop/x: NoSuchBucket"),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:1"), "can't reach the object store"),
    ],
)
def test_a_listing_that_fails_says_why(error: Exception, says: str) -> None:
    found = source("s3://shop/x", ["x/a.jpg"], error).items()
    assert next(found).location == "x/a.jpg"
    with pytest.raises(SourceError, match=says):
        next(found)


def test_a_bucket_is_needed() -> None:
    with pytest.raises(SourceError, match="s3://bucket/prefix"):
        source("s3:///x")
