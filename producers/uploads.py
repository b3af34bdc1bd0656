"""Signs uploads, for publishers that have image bytes but no URL.

    upload = Uploads(S3Settings(...)).presign_put("image/jpeg", len(data), sha256(data).hexdigest())
    requests.put(upload.url, data=data, headers=upload.headers)
    publisher.publish(ImageRequest(image=ImageRef(uri=upload.uri, sha256=upload.sha256), ...))

Signing is arithmetic: no call goes to the store. It is Signature Version 4, which S3 and MinIO read.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol
from uuid import uuid4

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from sightstream.producers.errors import UploadRefused
from sightstream.schemas.connections.s3 import S3Settings
from sightstream.schemas.connections.settings_file import configured
from sightstream.schemas.image_formats import IMAGE_FORMATS

ENDINGS = {media_type: each.endings[0] for each in IMAGE_FORMATS for media_type in each.media_types}


class UploadSettings(BaseSettings):
    """Decides what may be uploaded with a signed URL, where to, and for how long."""

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_UPLOAD_", frozen=True, extra="forbid")

    prefix: str = Field(
        default="uploads",
        pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$",
        description="Start of the keys of uploaded images in the bucket of [s3]; change it to keep them apart from "
        "other objects.",
    )
    expires_s: int = Field(
        default=900,
        ge=1,
        le=7 * 24 * 3600,
        description="Seconds that a signed URL is valid, at most a week; raise it where uploads start long after "
        "signing.",
    )
    max_bytes: int = Field(
        default=32 * 1024**2,
        ge=1,
        description="Most bytes that one upload may have; the default of 32 MiB is also the limit of fetching, so "
        "raise max_bytes of [fetch] with it.",
    )


@dataclass(frozen=True, slots=True)
class Upload:
    """A permission to upload one image, once or again, until `expires_at`.

    With PUT, send the image as the body, under exactly these `headers`. With POST, send a form of `fields` and, last, a
    part named `file`. Then publish a request with `uri` and `sha256` (None where it is not known yet). `url` and
    `fields` are secrets: anybody with them may upload, so `repr` hides them.
    """

    uri: str
    method: Literal["PUT", "POST"]
    url: str = field(repr=False)
    headers: Mapping[str, str]
    fields: Mapping[str, str] = field(repr=False)
    sha256: str | None
    expires_at: datetime


class Signer(Protocol):
    """The part of boto3's S3 client that signs; it calls no server."""

    def generate_presigned_url(self, method: str, *, Params: Mapping[str, object], ExpiresIn: int) -> str: ...
    def generate_presigned_post(
        self, bucket: str, key: str, *, Fields: Mapping[str, str], Conditions: list[object], ExpiresIn: int
    ) -> dict[str, Any]: ...


class Uploads:
    """Signs upload URLs for the bucket of the S3 settings. It uploads nothing itself.

    Every upload gets a random key below `prefix`, so no upload can overwrite another. Thread safe.

    Args:
        s3: Address of the store, credentials and the bucket.
        settings: Prefix of the keys, lifetime of the URLs and size limit; by default read from the environment.
        client: A boto3 S3 client that signs; None creates one from `s3`.
        now: Returns the current time; another clock serves tests.

    Raises:
        UploadRefused: `s3` names no bucket, or boto3 is not installed.
    """

    def __init__(
        self,
        s3: S3Settings,
        settings: UploadSettings | None = None,
        *,
        client: Signer | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if not s3.bucket:
            raise UploadRefused("set the bucket for uploads: SIGHTSTREAM_S3_BUCKET")
        self._bucket = s3.bucket
        self._settings = settings or configured(UploadSettings)
        self._client = client or _boto3_client(s3)
        self._now = now

    def presign_put(self, content_type: str, length: int, sha256: str) -> Upload:
        """Sign a PUT of exactly these bytes. Does not block, unless boto3 has to find credentials first.

        The store refuses another length or content type; a store that verifies checksums refuses other bytes, too.

        Args:
            content_type: Media type of the image, such as "image/jpeg"; one of ENDINGS.
            length: Number of bytes, 1 to `max_bytes`.
            sha256: Digest of the bytes, in hexadecimal digits.

        Raises:
            UploadRefused: an argument is out of bounds.
        """
        key = self._key(content_type)
        if not 1 <= length <= self._settings.max_bytes:
            raise UploadRefused(f"an image of {length} bytes: 1 to {self._settings.max_bytes} may be uploaded")
        checksum = _base64(sha256)
        wanted = {"ContentType": content_type, "ContentLength": length, "ChecksumSHA256": checksum}
        url = self._client.generate_presigned_url(
            "put_object", Params={"Bucket": self._bucket, "Key": key, **wanted}, ExpiresIn=self._settings.expires_s
        )
        headers = {"Content-Type": content_type, "Content-Length": str(length), "x-amz-checksum-sha256": checksum}
        return Upload(self._uri(key), "PUT", url, headers, {}, sha256, self._expiry())

    def presign_post(self, content_type: str) -> Upload:
        """Sign a POST of a browser's form: any bytes of this type up to `max_bytes`. Blocks as presign_put() does.

        Args:
            content_type: Media type of the image, such as "image/jpeg"; one of ENDINGS.

        Raises:
            UploadRefused: this content type can't be uploaded.
        """
        key = self._key(content_type)
        form = self._client.generate_presigned_post(
            self._bucket,
            key,
            Fields={"Content-Type": content_type},
            Conditions=[{"Content-Type": content_type}, ["content-length-range", 1, self._settings.max_bytes]],
            ExpiresIn=self._settings.expires_s,
        )
        return Upload(self._uri(key), "POST", form["url"], {}, form["fields"], None, self._expiry())

    def _key(self, content_type: str) -> str:
        if content_type not in ENDINGS:
            raise UploadRefused(f"content type {content_type!r}: one of {', '.join(ENDINGS)} may be uploaded")
        return f"{self._settings.prefix}/{self._now():%Y/%m/%d}/{uuid4().hex}{ENDINGS[content_type]}"

    def _uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"

    def _expiry(self) -> datetime:
        return self._now() + timedelta(seconds=self._settings.expires_s)


def _base64(sha256: str) -> str:
    try:
        digest = bytes.fromhex(sha256)
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise UploadRefused("sha256 must be 64 hexadecimal digits")
    return base64.b64encode(digest).decode()


def _boto3_client(s3: S3Settings) -> Signer:
    try:
        from sightstream.schemas.connections.s3_client import s3_client
    except ImportError:
        raise UploadRefused("signing uploads needs boto3: install sightstream[s3]") from None
    client: Signer = s3_client(s3, signature_version="s3v4")
    return client
