"""The entry to every image source: picks it by scheme, retries transient failures, verifies the digest."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from functools import cache

from prometheus_client import Counter

from sightstream.pipeline.errors import Rejected, Retryable
from sightstream.pipeline.fetch.deadline import Deadline
from sightstream.pipeline.fetch.errors import BusyError, TransientError, check_size, rejected
from sightstream.pipeline.fetch.image_source import NO_ORIGIN, Body, ImageSource
from sightstream.pipeline.fetch.retry_policy import RetryPolicy
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.metrics import FETCHED_BYTES, FETCHES
from sightstream.pipeline.shortage import shortage_behind
from sightstream.pipeline.stages import NO_SERVER, Server, ServerBusy
from sightstream.pipeline.types import FetchedImage, NotModified, Origin
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.request import ImageRef


class Fetcher:
    """Fetches images from any source. Thread safe; blocks its caller for at most 1.25 x `total_timeout_s`."""

    def __init__(
        self,
        sources: Mapping[str, ImageSource],
        settings: FetchSettings,
        clock: Callable[[], float] = time.monotonic,
        retry_policy: RetryPolicy | None = None,
    ) -> None:
        self._sources = dict(sources)
        self._settings = settings
        self._clock = clock
        self._retry_policy = retry_policy or RetryPolicy(settings)

    def fetch(self, image: ImageRef, known_etag: str | None = None) -> FetchedImage | NotModified:
        """Fetch the image, or return NotModified, without reading it, when the store still names it `known_etag`.

        On NotModified the caller vouches for what it kept under that etag, `image.sha256` included. Raises Retryable,
        Rejected, or ServerBusy where no attempt was made.
        """
        source = self._source(image.uri)
        deadline = Deadline(self._settings.total_timeout_s, self._clock)
        try:
            body = self._retry_policy.call(lambda: self._attempt(source, image, known_etag, deadline), deadline)
        except BusyError as busy:
            raise ServerBusy(busy.server) from None
        except TransientError as error:
            origin = source.origin(image)
            dependency = origin.name if origin.is_dependency else None
            raise Retryable(error.stage, str(error), dependency, error.otherwise) from error
        return body if isinstance(body, NotModified) else self._verify(image, body)

    def server(self, image: ImageRef) -> Server:
        source = self._sources.get(_scheme(image.uri))
        return source.server(image) if source else NO_SERVER

    def origin(self, image: ImageRef) -> Origin:
        source = self._sources.get(_scheme(image.uri))
        return source.origin(image) if source else NO_ORIGIN

    def _source(self, uri: str) -> ImageSource:
        scheme = _scheme(uri)
        if scheme not in self._sources:
            known = ", ".join(f"{name}://" for name in self._sources)
            hint = "; to read file://, set [fetch] file_roots" if scheme == "file" else ""
            raise rejected(Reason.UNSUPPORTED_URI, f"the image's address must start with one of {known}{hint}")
        return self._sources[scheme]

    def _attempt(
        self, source: ImageSource, image: ImageRef, known_etag: str | None, deadline: Deadline
    ) -> Body | NotModified:
        outcome = "failed"
        try:
            body = source.read(image, known_etag, deadline)
            outcome = "unchanged" if isinstance(body, NotModified) else "read"
            _bytes_from(source.kind).inc(0 if isinstance(body, NotModified) else len(body.data))
            return body
        except (Rejected, TransientError) as error:
            if (short := shortage_behind(error, Stage.FETCH)) is not None:
                raise short from error
            outcome = error.kind.value if isinstance(error, TransientError) else "rejected"
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


def _scheme(uri: str) -> str:
    return uri.partition(":")[0].lower()


@cache  # looking a label up costs more than counting
def _fetches(kind: str, outcome: str) -> Counter:
    return FETCHES.labels(kind, outcome)


@cache
def _bytes_from(kind: str) -> Counter:
    return FETCHED_BYTES.labels(kind)
