"""s3://: S3, MinIO, SeaweedFS. The endpoint comes from settings, never from a message."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, NotModifiedError

from sightstream.pipeline.fetch.lanes import Lanes
from sightstream.pipeline.fetch.refusals import check_size
from sightstream.pipeline.fetch.s3_boto import BotoReader
from sightstream.pipeline.fetch.s3_object import S3Object, read_s3
from sightstream.pipeline.fetch.s3_stores import S3Stores
from sightstream.pipeline.fetch.s3_text import ElsewhereError, translate
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.fetch.source import Body, strong_etag
from sightstream.pipeline.fetch.time_limit import TimeLimit
from sightstream.pipeline.fetch.trouble import Transient, Trouble
from sightstream.pipeline.types import NotModified
from sightstream.schemas.connections.s3 import S3Settings
from sightstream.schemas.wire.request import ImageRef

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import S3Store

DEPENDENCY = "s3"
MAX_BUCKETS_ELSEWHERE = 1024


class S3Source:
    """Thread safe. obstore reads, with the interpreter's lock released; boto3 reads what obstore can't ask for."""

    kind = "s3"

    def __init__(self, settings: FetchSettings, s3: S3Settings) -> None:
        # Read when obstore starts its runtime. A request is worked on by the thread that waits for it; the runtime only
        # watches sockets, and one of its own threads a core made each of them wake the others.
        os.environ.setdefault("TOKIO_WORKER_THREADS", "1")
        self._settings = settings
        self._lanes = Lanes(self.kind, settings)
        self._stores = S3Stores(settings, s3)
        self._boto = BotoReader(settings, s3)
        self._elsewhere: set[str] = set()

    def dependency(self, image: ImageRef) -> str | None:
        return DEPENDENCY

    def read(self, image: ImageRef, known_etag: str | None, limit: TimeLimit) -> Body | NotModified:
        wanted, etag = read_s3(image.uri, self._settings), strong_etag(known_etag)
        with self._lanes.place(DEPENDENCY, self._settings.s3_concurrency, limit):
            if wanted.plain and wanted.bucket not in self._elsewhere:
                try:
                    return self._read(wanted, image.version_id, etag, limit)
                except ElsewhereError:
                    self._remember(wanted.bucket)
            return self._boto.read(wanted, image.version_id, etag, limit)

    def _read(self, wanted: S3Object, version_id: str | None, etag: str | None, limit: TimeLimit) -> Body | NotModified:
        options: GetOptions = {}
        if version_id:
            options["version"] = version_id
        if etag:
            options["if_none_match"] = etag
        store = self._store(wanted.bucket, limit)
        try:
            found = obstore.get(store, wanted.key, options=options)
            check_size(found.meta["size"], self._settings.max_bytes)
            return Body(found.bytes().to_bytes(), strong_etag(found.meta["e_tag"]))
        except NotModifiedError:
            return NotModified()
        except (BaseError, OSError, ValueError) as error:
            raise self._learned(translate(error)) from None

    def _store(self, bucket: str, limit: TimeLimit) -> S3Store:
        try:
            return self._stores.get(bucket, limit.left_s())
        except (BaseError, OSError, ValueError) as error:
            raise Transient(Trouble.UNTRUSTED, f"the object store's settings: {type(error).__name__}") from None

    def _learned(self, error: Exception) -> Exception:
        if isinstance(error, Transient) and error.trouble is Trouble.UNTRUSTED:
            self._stores.forget()
        return error

    def _remember(self, bucket: str) -> None:
        if len(self._elsewhere) >= MAX_BUCKETS_ELSEWHERE:
            self._elsewhere.clear()
        self._elsewhere.add(bucket)
