"""For publishers who hold bytes, not links: a signed address to put them at, and what to name in the request then.

    upload = Uploads(S3Settings(...)).presign_put("image/jpeg", len(data), sha256(data).hexdigest())
    requests.put(upload.url, data=data, headers=upload.headers)
    publisher.publish(ImageRequest(image=ImageRef(uri=upload.uri, sha256=upload.sha256), ...))

Signing is arithmetic: nothing is asked of the store. Signature Version 4, as S3 and MinIO read it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from sightstream.producers.errors import UploadRefused
from sightstream.schemas.connections.s3 import S3Settings

ENDINGS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/bmp": "bmp",
    "image/tiff": "tiff",
    "image/avif": "avif",
    "image/heic": "heic",
}


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
    """Where one image may be put, once or again, until `expires_at`.

    PUT: the body is the image, under exactly these `headers`. POST: a form of `fields` and, last, a part named `file`.
    `uri` and `sha256` (None where it is not known yet) are for the request. Whoever has `url` and `fields` may upload:
    they are left out of the printed form.
    """

    uri: str
    method: Literal["PUT", "POST"]
    url: str = field(repr=False)
    headers: Mapping[str, str]
    fields: Mapping[str, str] = field(repr=False)
    sha256: str | None
    expires_at: datetime


class Uploads:
    """Thread safe. Names are drawn at random: no upload can hit another's."""

    def __init__(
        self,
        s3: S3Settings,
        settings: UploadSettings | None = None,
        *,
        client: Any = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Without a `client`, boto3's. Raises UploadRefused when the settings name no bucket."""
        if not s3.bucket:
            raise UploadRefused("set the bucket for uploads: SIGHTSTREAM_S3_BUCKET")
        self._bucket = s3.bucket
        self._settings = settings or UploadSettings()
        self._client = client or _boto3_client(s3)
        self._now = now

    def presign_put(self, content_type: str, length: int, sha256: str) -> Upload:
        """For exactly these bytes: the store refuses another length or type, and a store that checks sums others.

        `sha256` is in hexadecimal digits. Raises UploadRefused.
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
        """For a browser's form: any bytes of this type up to `max_bytes`. Raises UploadRefused."""
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
        return f"{self._settings.prefix}/{self._now():%Y/%m/%d}/{uuid4().hex}.{ENDINGS[content_type]}"

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


def _boto3_client(s3: S3Settings) -> Any:
    try:
        from sightstream.schemas.connections.s3_client import s3_client
    except ImportError:
        raise UploadRefused("signing uploads needs boto3: install sightstream[s3]") from None
    return s3_client(s3, signature_version="s3v4")
