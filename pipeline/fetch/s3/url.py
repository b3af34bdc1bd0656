"""Parses s3:// references: bucket and key as they are written, nothing decoded."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sightstream.pipeline.fetch.errors import rejected
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.schemas.wire.dead_letter import Reason

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_MAX_KEY_BYTES = 1024
_DOTS = {".", ".."}


@dataclass(frozen=True, slots=True)
class S3Url:
    """An object's bucket and key."""

    bucket: str
    key: str

    @property
    def is_plain(self) -> bool:
        """Whether obstore requests the key unchanged: it drops or refuses empty segments."""
        return all(self.key.split("/")) and self.key.isprintable()


def bucket_of(uri: str) -> str | None:
    """Return the bucket that `uri` names, or None if no bucket can have that name. Never raises."""
    bucket = uri.partition("://")[2].partition("/")[0]
    return bucket if _BUCKET.fullmatch(bucket) and ".." not in bucket else None


def parse_s3_url(uri: str, settings: FetchSettings) -> S3Url:
    """Parse `uri`. Raises Rejected when it has no valid bucket and key, or its bucket is not allowed."""
    bucket, key = bucket_of(uri), uri.partition("://")[2].partition("/")[2]
    try:
        key_bytes = len(key.encode())
    except UnicodeEncodeError:
        key_bytes = 0
    if bucket is None or not key_bytes:
        raise rejected(Reason.UNSUPPORTED_URI, "write s3://bucket/key")
    if key_bytes > _MAX_KEY_BYTES or _DOTS & set(key.split("/")):
        # Programs on the way to the store resolve such segments, which would then name another object.
        raise rejected(Reason.UNSUPPORTED_URI, "a key has at most 1024 bytes, and no . or .. between slashes")
    any_bucket = not settings.allowed_buckets and not settings.only_listed
    if not any_bucket and bucket not in settings.allowed_buckets:
        raise rejected(Reason.FORBIDDEN_LOCATION, "the bucket is not listed in [fetch] allowed_buckets")
    return S3Url(bucket, key)
