"""The door to every kind of source: picks it by scheme, caps what it yields, verifies the digest."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from pipeline.errors import Retryable
from pipeline.fetch.refusals import check_size, rejected
from pipeline.fetch.settings import FetchSettings
from pipeline.types import FetchedImage
from schemas.dead_letter import Reason, Stage
from schemas.request import ImageRef


class Source(Protocol):
    """One kind of place. Thread safe."""

    def open(self, image: ImageRef) -> Iterator[bytes]:
        """The image in chunks; blocks. Raises Retryable or Rejected, before or between chunks."""

    def dependency(self, image: ImageRef) -> str | None:
        """What this worker relies on to get it (`schemas.uri.origin` names it); None for a foreign place."""


class Fetcher:
    """Thread safe; blocks its caller for `total_timeout_s` and one read at most."""

    def __init__(
        self, sources: dict[str, Source], settings: FetchSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sources = sources
        self._settings = settings
        self._clock = clock

    def fetch(self, image: ImageRef, known_etag: str | None = None) -> FetchedImage:
        """Always in full, whatever etag is known. Raises Retryable or Rejected."""
        source = self._source(image.uri)
        try:
            data = self._read(source.open(image))
        except Retryable as error:
            raise Retryable(error.stage, str(error), source.dependency(image)) from error
        digest = hashlib.sha256(data).hexdigest()
        if image.sha256 and digest != image.sha256:
            raise rejected(Reason.CHECKSUM_MISMATCH, f"the image has sha256 {digest}, the request names another")
        if not data:
            raise rejected(Reason.NOT_AN_IMAGE, "the image has no bytes")
        return FetchedImage(data, digest)

    def _source(self, uri: str) -> Source:
        scheme = uri.partition(":")[0].lower()
        if scheme not in self._sources:
            known = ", ".join(f"{name}://" for name in self._sources)
            raise rejected(Reason.UNSUPPORTED_URI, f"the image's address must start with one of {known}")
        return self._sources[scheme]

    def _read(self, chunks: Iterator[bytes]) -> bytes:
        deadline = self._clock() + self._settings.total_timeout_s
        data = bytearray()
        for chunk in chunks:
            data += chunk
            check_size(len(data), self._settings.max_bytes)
            if self._clock() > deadline:
                raise Retryable(Stage.FETCH, f"not read within {self._settings.total_timeout_s} s")
        return bytes(data)
