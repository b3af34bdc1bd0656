"""The door to every kind of source: picks it by scheme, tries again what may pass, verifies the digest."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from functools import cache

from prometheus_client import Counter

from sightstream.pipeline.errors import Rejected, Retryable
from sightstream.pipeline.fetch.refusals import check_size, rejected
from sightstream.pipeline.fetch.retries import Retries
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.fetch.source import Body, Source
from sightstream.pipeline.fetch.time_limit import TimeLimit
from sightstream.pipeline.fetch.trouble import Transient
from sightstream.pipeline.metrics import FETCHED_BYTES, FETCHES
from sightstream.pipeline.types import FetchedImage, NotModified
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.request import ImageRef


class Fetcher:
    """Thread safe; blocks its caller for `total_timeout_s` and half of it at most."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        settings: FetchSettings,
        clock: Callable[[], float] = time.monotonic,
        retries: Retries | None = None,
    ) -> None:
        self._sources = dict(sources)
        self._settings = settings
        self._clock = clock
        self._retries = retries or Retries(settings)

    def fetch(self, image: ImageRef, known_etag: str | None = None) -> FetchedImage | NotModified:
        """NotModified, with nothing read, only where the store still names the image `known_etag`.

        The caller then answers for what it kept under that etag, `image.sha256` included. Raises Retryable or Rejected.
        """
        source = self._source(image.uri)
        limit = TimeLimit(self._settings.total_timeout_s, self._clock)
        try:
            found = self._retries.call(lambda: self._attempt(source, image, known_etag, limit), limit)
        except Transient as error:
            raise Retryable(error.stage, str(error), source.dependency(image)) from error
        return found if isinstance(found, NotModified) else self._verify(image, found)

    def _source(self, uri: str) -> Source:
        scheme = uri.partition(":")[0].lower()
        if scheme not in self._sources:
            known = ", ".join(f"{name}://" for name in self._sources)
            hint = "; file:// is read where [fetch] file_roots names folders" if scheme == "file" else ""
            raise rejected(Reason.UNSUPPORTED_URI, f"the image's address must start with one of {known}{hint}")
        return self._sources[scheme]

    def _attempt(self, source: Source, image: ImageRef, known_etag: str | None, limit: TimeLimit) -> Body | NotModified:
        outcome = "failed"
        try:
            found = source.read(image, known_etag, limit)
            outcome = "unchanged" if isinstance(found, NotModified) else "read"
            _bytes_from(source.kind).inc(0 if isinstance(found, NotModified) else len(found.data))
            return found
        except Rejected:
            outcome = "rejected"
            raise
        except Transient as error:
            outcome = error.trouble.value
            raise
        finally:
            _fetches(source.kind, outcome).inc()

    def _verify(self, image: ImageRef, body: Body) -> FetchedImage:
        check_size(len(body.data), self._settings.max_bytes)
        digest = hashlib.sha256(body.data).hexdigest()
        if image.sha256 and digest != image.sha256:
            raise rejected(Reason.CHECKSUM_MISMATCH, f"the image has sha256 {digest}, the request names another")
        if not body.data:
            raise rejected(Reason.NOT_AN_IMAGE, "the image has no bytes")
        return FetchedImage(body.data, digest, body.etag)


@cache  # looking a label up costs more than counting
def _fetches(kind: str, outcome: str) -> Counter:
    return FETCHES.labels(kind, outcome)


@cache
def _bytes_from(kind: str) -> Counter:
    return FETCHED_BYTES.labels(kind)
