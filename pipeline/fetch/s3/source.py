"""The source for s3://. The endpoint comes from the settings, never from a message."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, NotModifiedError

from sightstream.pipeline.errors import PipelineError, Rejected
from sightstream.pipeline.fetch.answered import AnsweredOrigins
from sightstream.pipeline.fetch.content_coding import check_coding
from sightstream.pipeline.fetch.deadline import Deadline
from sightstream.pipeline.fetch.errors import FailureKind, TransientError, check_size, rejected
from sightstream.pipeline.fetch.image_source import NO_ORIGIN, Body, strong_etag
from sightstream.pipeline.fetch.limiter import ConcurrencyLimiter, Limiters
from sightstream.pipeline.fetch.s3.boto import BotoReader
from sightstream.pipeline.fetch.s3.errors import (
    MORE_THAN_ANNOUNCED,
    AccessDenied,
    NoSuchBucket,
    WrongRegionError,
    translate,
)
from sightstream.pipeline.fetch.s3.stores import S3Stores
from sightstream.pipeline.fetch.s3.url import S3Url, bucket_of, parse_s3_url
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.stages import Server
from sightstream.pipeline.types import NotModified, Origin
from sightstream.schemas.connections.s3 import S3Settings
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.request import ImageRef

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult
    from obstore.store import S3Store

LIMITER = "s3"  # of the endpoint: all buckets are behind the same servers
MAX_BUCKETS_OF_OTHER_REGIONS = 1024


class S3Source:
    """Reads images from S3. Thread safe.

    obstore reads, with the interpreter's lock released; boto3 reads the objects that obstore cannot request.
    """

    kind = "s3"

    def __init__(self, settings: FetchSettings, s3: S3Settings) -> None:
        # Read when obstore starts its runtime. The thread that waits for a request also works on it; the runtime only
        # watches sockets, and with one of its own threads per core each of them woke the others.
        os.environ.setdefault("TOKIO_WORKER_THREADS", "1")
        self._settings = settings
        self._limiters = Limiters(self.kind, settings)
        self._stores = S3Stores(settings, s3)
        self._boto = BotoReader(settings, s3)
        self._buckets_of_other_regions: set[str] = set()
        self._named = {*settings.allowed_buckets, s3.bucket}
        self._answered = AnsweredOrigins()

    def origin(self, image: ImageRef) -> Origin:
        bucket = bucket_of(image.uri)
        if bucket is None:
            return NO_ORIGIN
        name = f"s3://{bucket}"
        return Origin(name, name if bucket in self._named else self.kind, is_dependency=True, server=LIMITER)

    def server(self, image: ImageRef) -> Server:
        return self._limiter()

    def _limiter(self) -> ConcurrencyLimiter:
        return self._limiters.get(LIMITER, self._settings.s3_concurrency)

    def read(self, image: ImageRef, known_etag: str | None, deadline: Deadline) -> Body | NotModified:
        url, etag = parse_s3_url(image.uri, self._settings), strong_etag(known_etag)
        with self._limiters.limit(self._limiter()):
            try:
                body = self._read(url, image.version_id, etag, deadline)
            except Rejected as error:
                raise self._or_outage(url.bucket, error) from None
            self._answered.add(url.bucket)
            return body

    def _or_outage(self, bucket: str, error: Rejected) -> PipelineError:
        """Return `error`, or the outage that it probably is: that of a bucket which this worker relies on.

        It relies on a bucket that the settings name, or from which it has read. Any other is a publisher's choice: its
        requests end at once, and open no circuit breaker.
        """
        if bucket not in self._named and bucket not in self._answered:
            return error
        if isinstance(error, NoSuchBucket):
            return TransientError(FailureKind.BROKEN, str(error))
        if isinstance(error, AccessDenied):
            return TransientError(FailureKind.DENIED, str(error), otherwise=error)
        return error

    def _read(self, url: S3Url, version_id: str | None, etag: str | None, deadline: Deadline) -> Body | NotModified:
        if url.is_plain and url.bucket not in self._buckets_of_other_regions:
            try:
                return self._read_fast(url, version_id, etag, deadline)
            except WrongRegionError:
                self._remember_region(url.bucket)
        return self._boto.read(url, version_id, etag, deadline)

    def _read_fast(
        self, url: S3Url, version_id: str | None, etag: str | None, deadline: Deadline
    ) -> Body | NotModified:
        options: GetOptions = {}
        if version_id:
            options["version"] = version_id
        if etag:
            options["if_none_match"] = etag
        store = self._store(url.bucket, deadline)
        try:
            result = obstore.get(store, url.key, options=options)
            check_size(result.meta["size"], self._settings.max_bytes)
            check_coding(result.attributes.get("Content-Encoding", ""))
            return Body(_read_announced(result), strong_etag(result.meta["e_tag"]))
        except NotModifiedError:
            return NotModified()
        except (BaseError, OSError, ValueError) as error:
            raise self._reset_if_misconfigured(translate(error)) from None

    def _store(self, bucket: str, deadline: Deadline) -> S3Store:
        try:
            return self._stores.get(bucket, deadline.remaining_s())
        except (BaseError, OSError, ValueError) as error:
            detail = f"object store: check the settings in [s3]: {type(error).__name__}"
            raise TransientError(FailureKind.MISCONFIGURED, detail) from None

    def _reset_if_misconfigured(self, error: Exception) -> Exception:
        """Return `error`; credentials that the store refused are read again for the next request."""
        if isinstance(error, TransientError) and error.kind is FailureKind.MISCONFIGURED:
            self._stores.reset()
        return error

    def _remember_region(self, bucket: str) -> None:
        if len(self._buckets_of_other_regions) >= MAX_BUCKETS_OF_OTHER_REGIONS:
            self._buckets_of_other_regions.clear()
        self._buckets_of_other_regions.add(bucket)


def _read_announced(result: GetResult) -> bytes:
    """Return the body, read no further than a piece beyond its announced size: what comes can be more, or less."""
    size_bytes, pieces, count = result.meta["size"], [], 0
    for piece in result.stream(min_chunk_size=max(1, size_bytes)):  # one piece, if the store is honest
        pieces.append(bytes(piece))
        count += len(piece)
        if count > size_bytes:
            raise rejected(Reason.FETCH_REFUSED, MORE_THAN_ANNOUNCED)
    if count < size_bytes:
        raise TransientError(FailureKind.BROKEN, "object store: the body broke off early")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
