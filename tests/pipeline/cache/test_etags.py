"""Which etags are remembered, and for which URLs."""

from __future__ import annotations

from sightstream.pipeline.cache.etags import EtagMemory, KnownEtag
from sightstream.pipeline.types import FetchedImage
from sightstream.schemas.wire.request import ImageRef
from tests.pipeline.samples import key


def image(uri: str = "s3://shop/a.jpg", version_id: str | None = None) -> ImageRef:
    return ImageRef(uri=uri, version_id=version_id)


def fetched(etag: str | None = '"e"', content: object = 0) -> FetchedImage:
    return FetchedImage(b"x", key(content), etag)


def test_a_url_with_its_version_has_the_last_etag_seen() -> None:
    memory = EtagMemory(9)
    memory.put(image(), fetched('"1"', 1))
    memory.put(image(), fetched('"2"', 2))
    memory.put(image(version_id="v"), fetched('"3"', 3))
    assert memory.get(image()) == KnownEtag('"2"', key(2))
    assert memory.get(image(version_id="v")) == KnownEtag('"3"', key(3))
    assert memory.get(image("s3://shop/b.jpg")) is None


def test_an_etag_that_is_missing_or_weak_or_too_long_is_not_kept() -> None:
    for etag in (None, "", 'W/"1"', "e" * 257):
        memory = EtagMemory(9)
        memory.put(image(), fetched())
        memory.put(image(), fetched(etag))
        assert memory.get(image()) is None


def test_only_the_most_recently_used_are_kept() -> None:
    memory = EtagMemory(3)
    for number in range(3):
        memory.put(image(f"s3://shop/{number}"), fetched())
    memory.get(image("s3://shop/0"))
    memory.put(image("s3://shop/3"), fetched())
    assert [n for n in range(4) if memory.get(image(f"s3://shop/{n}"))] == [0, 2, 3]


def test_urls_are_not_kept_in_the_clear() -> None:
    memory = EtagMemory(3)
    memory.put(image("https://u:c4n4ry@shop.example/a.jpg?X-Amz-Signature=c4n4ry", "v"), fetched())
    assert "c4n4ry" not in repr(vars(memory))


def test_url_and_version_are_not_confused() -> None:
    memory = EtagMemory(3)
    memory.put(image('s3://a", "b', "c"), fetched())
    assert memory.get(image("s3://a", 'b", "c')) is None
