"""An s3:// reference: bucket and key as they stand there, nothing decoded."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sightstream.pipeline.fetch.refusals import rejected
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.schemas.wire.dead_letter import Reason

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_MAX_KEY_BYTES = 1024
_DOTS = {".", ".."}


@dataclass(frozen=True, slots=True)
class S3Object:
    bucket: str
    key: str

    @property
    def plain(self) -> bool:
        """Whether the key is one that obstore asks for unchanged: it drops and refuses empty segments."""
        return all(self.key.split("/")) and self.key.isprintable()


def read_s3(uri: str, settings: FetchSettings) -> S3Object:
    """Raises Rejected for what is no bucket or key, or is not among the allowed buckets."""
    bucket, _, key = uri.partition("://")[2].partition("/")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        size = 0
    if not _BUCKET.fullmatch(bucket) or ".." in bucket or not size:
        raise rejected(Reason.UNSUPPORTED_URI, "write s3://bucket/key")
    if size > _MAX_KEY_BYTES or _DOTS & set(key.split("/")):
        # Programs on the way to the store resolve such segments, which would then name another object.
        raise rejected(Reason.UNSUPPORTED_URI, "no key with . or .. between slashes, or of over 1024 bytes, is fetched")
    free = not settings.allowed_buckets and not settings.only_listed
    if not free and bucket not in settings.allowed_buckets:
        raise rejected(Reason.FORBIDDEN_LOCATION, "the bucket is not among the allowed ones")
    return S3Object(bucket, key)
