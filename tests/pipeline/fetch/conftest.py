"""Helpers for the tests of every source: a clock that only the test moves, and short ways to fetch."""

from __future__ import annotations

from dataclasses import dataclass

from sightstream.pipeline.fetch.fetcher import Fetcher
from sightstream.pipeline.types import FetchedImage, NotModified
from sightstream.schemas.wire.request import ImageRef


@dataclass
class ManualClock:
    """A clock that only this moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def get(fetcher: Fetcher, uri: str, known_etag: str | None = None) -> bytes:
    """Fetch `uri` and return its bytes."""
    result = fetcher.fetch(ImageRef(uri=uri), known_etag)
    assert not isinstance(result, NotModified)
    return result.data


def image_of(result: FetchedImage | NotModified) -> FetchedImage:
    """Return `result`, which must be an image."""
    assert isinstance(result, FetchedImage)
    return result
