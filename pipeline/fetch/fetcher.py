"""The door to every kind of source: picks it by scheme, caps what it yields, verifies the digest."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Protocol
from urllib.parse import urlsplit

from pipeline.errors import Rejected, Retryable
from pipeline.fetch.settings import FetchSettings
from pipeline.types import FetchedImage
from schemas.dead_letter import Reason, Stage
from schemas.request import ImageRef
from schemas.s3 import S3Settings


class Source(Protocol):
    """One kind of place. Thread safe."""

    def open(self, image: ImageRef) -> Iterator[bytes]:
        """The image in chunks; blocks. Raises Retryable or Rejected, before or between chunks."""


class Fetcher:
    """Thread safe; blocks its caller for `total_timeout_s` and one read at most."""

    def __init__(
        self, sources: dict[str, Source], settings: FetchSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sources = sources
        self._settings = settings
        self._clock = clock

    def fetch(self, image: ImageRef) -> FetchedImage:
        """Raises Retryable or Rejected."""
        data = self._read(self._source(image.uri).open(image))
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


def build_fetcher(settings: FetchSettings, s3: S3Settings) -> Fetcher:
    """A fetcher for s3://, http(s):// and, where roots are set, file://."""
    from pipeline.fetch.http import HttpSource
    from pipeline.fetch.local_file import FileSource
    from pipeline.fetch.s3 import S3Source

    http = HttpSource(settings)
    sources: dict[str, Source] = {"s3": S3Source(settings, s3), "https": http, "http": http}
    if settings.file_roots:
        sources["file"] = FileSource(settings.file_roots)
    return Fetcher(sources, settings)


def rejected(reason: Reason, detail: str) -> Rejected:
    """A fetch that can never work."""
    return Rejected(reason, Stage.FETCH, detail)


def check_size(count: int, max_bytes: int) -> None:
    """Raises Rejected when `count` bytes, announced or read, are too many."""
    if count > max_bytes:
        raise rejected(Reason.IMAGE_TOO_LARGE, f"the image has over {max_bytes} bytes")


def split(uri: str) -> tuple[str, str]:
    """Host and path of an address. Raises Rejected when it can't be taken apart."""
    try:
        parts = urlsplit(uri)
        return parts.hostname or "", parts.path
    except ValueError as error:
        raise rejected(Reason.UNSUPPORTED_URI, f"the address can't be read: {error}") from None
