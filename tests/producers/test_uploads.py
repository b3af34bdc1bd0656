"""Signed uploads, sent to the real store by a client that knows only the signed URL."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.producers.errors import UploadRefused
from sightstream.producers.uploads import ENDINGS, Upload, Uploads, UploadSettings
from sightstream.schemas.connections.s3 import S3Settings
from sightstream.schemas.wire.request import ImageRef

DATA = b"\xff\xd8\xff" + bytes(2000)
DIGEST = sha256(DATA).hexdigest()


@pytest.fixture
def uploads(runtime: LocalRuntime, bucket: str) -> Uploads:
    return make(runtime, bucket)


def make(runtime: LocalRuntime, bucket: str, settings: UploadSettings | None = None, **more: Any) -> Uploads:
    return Uploads(runtime.s3_settings.model_copy(update={"bucket": bucket}), settings, **more)


def send(upload: Upload, data: bytes, **changed: str) -> int:
    """The HTTP status of the upload."""
    headers, body = {**upload.headers, **changed}, data
    if upload.method == "POST":
        headers, body = form({**upload.fields, **changed}, data)
    headers.pop("Content-Length", None)  # urllib counts for itself
    request = urllib.request.Request(upload.url, data=body, headers=headers, method=upload.method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def form(fields: dict[str, str], data: bytes) -> tuple[dict[str, str], bytes]:
    edge = uuid4().hex
    parts = [f'--{edge}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
    head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    body = "".join(parts).encode() + head.encode() + data + f"\r\n--{edge}--\r\n".encode()
    return {"Content-Type": f"multipart/form-data; boundary={edge}"}, body


def stored(s3_client: Any, uri: str) -> bytes:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bytes(s3_client.get_object(Bucket=bucket, Key=key)["Body"].read())


@pytest.mark.real
def test_a_signed_put_stores_the_image_that_the_request_names(uploads: Uploads, s3_client: Any) -> None:
    upload = uploads.presign_put("image/jpeg", len(DATA), DIGEST)
    assert send(upload, DATA) == 200
    assert stored(s3_client, upload.uri) == DATA
    assert ImageRef(uri=upload.uri, sha256=upload.sha256).sha256 == DIGEST


@pytest.mark.real
def test_a_signed_put_accepts_nothing_else(uploads: Uploads, s3_client: Any) -> None:
    upload = uploads.presign_put("image/jpeg", len(DATA), DIGEST)
    assert send(upload, DATA + b"!") == 403  # the length is signed
    assert send(upload, DATA, **{"Content-Type": "text/html"}) == 403
    with pytest.raises(s3_client.exceptions.NoSuchKey):
        stored(s3_client, upload.uri)


@pytest.mark.real
def test_a_signed_form_stores_up_to_its_limit(runtime: LocalRuntime, bucket: str, s3_client: Any) -> None:
    upload = make(runtime, bucket, UploadSettings(max_bytes=len(DATA))).presign_post("image/png")
    assert send(upload, DATA + b"!") >= 400
    assert send(upload, DATA, **{"Content-Type": "text/html"}) >= 400
    assert send(upload, DATA, key="elsewhere.png") >= 400
    assert send(upload, DATA) in (200, 201, 204)
    assert stored(s3_client, upload.uri) == DATA
    assert upload.sha256 is None


@pytest.mark.real
def test_an_address_that_has_expired_is_refused(runtime: LocalRuntime, bucket: str) -> None:
    upload = make(runtime, bucket, UploadSettings(expires_s=1)).presign_put("image/gif", len(DATA), DIGEST)
    deadline = time.monotonic() + 30
    while (status := send(upload, DATA)) == 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert status == 403


def test_the_day_and_the_expiry_are_stated() -> None:
    uploads = Uploads(settings(), UploadSettings(expires_s=1), now=lambda: datetime(2020, 2, 29, tzinfo=UTC))
    signed = uploads.presign_put("image/gif", 1, DIGEST)
    assert signed.expires_at == datetime(2020, 2, 29, 0, 0, 1, tzinfo=UTC)
    assert "/uploads/2020/02/29/" in signed.uri


def test_keys_are_random_and_end_as_their_type() -> None:
    uploads = Uploads(settings())
    found = [uploads.presign_post(kind) for kind in ENDINGS for _ in range(2)]
    assert len({upload.uri for upload in found}) == len(found)
    assert {"." + upload.uri.rpartition(".")[2] for upload in found} == set(ENDINGS.values())
    assert all(upload.uri.startswith("s3://shop/uploads/") for upload in found)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("image/svg+xml", 10, DIGEST), "content type"),
        (("image/jpeg", 0, DIGEST), "0 bytes"),
        (("image/jpeg", 2**40, DIGEST), "may be uploaded"),
        (("image/jpeg", 10, "abc"), "64 hexadecimal digits"),
        (("image/jpeg", 10, "ab"), "64 hexadecimal digits"),
    ],
)
def test_an_upload_that_would_never_be_answered_is_not_signed(arguments: tuple[str, int, str], word: str) -> None:
    with pytest.raises(UploadRefused, match=word):
        Uploads(settings()).presign_put(*arguments)


def test_a_bucket_is_needed() -> None:
    with pytest.raises(UploadRefused, match="SIGHTSTREAM_S3_BUCKET"):
        Uploads(S3Settings())


def test_a_printed_upload_opens_nothing() -> None:
    uploads = Uploads(settings())
    for upload in (uploads.presign_put("image/jpeg", 10, DIGEST), uploads.presign_post("image/jpeg")):
        assert "Signature" not in repr(upload)
        assert "signature" not in repr(upload).lower()


def settings() -> S3Settings:
    return S3Settings(bucket="shop", endpoint_url="http://127.0.0.1:9", access_key_id="a", secret_access_key="b")
