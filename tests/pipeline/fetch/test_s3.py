from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from infra.runtime.local import LocalRuntime
from pipeline.errors import Rejected, Retryable
from pipeline.fetch.fetcher import Fetcher
from pipeline.fetch.s3 import DEPENDENCY, S3Source
from pipeline.fetch.settings import FetchSettings
from schemas.dead_letter import Reason
from schemas.request import ImageRef
from schemas.s3 import S3Settings

pytestmark = pytest.mark.real

SETTINGS = FetchSettings(max_bytes=10_000, connect_timeout_s=1, total_timeout_s=3)


def fetch(s3: S3Settings, uri: str, settings: FetchSettings = SETTINGS, **more: str) -> bytes:
    return Fetcher({"s3": S3Source(settings, s3)}, settings).fetch(ImageRef(uri=uri, **more)).data


def test_objects_and_refusals(runtime: LocalRuntime, s3_client: Any, bucket: str) -> None:
    for key, body in {"a b/ü.jpg": b"image", "big": bytes(20_000), "empty": b""}.items():
        s3_client.put_object(Bucket=bucket, Key=key, Body=body)
    s3 = runtime.s3_settings
    assert fetch(s3, f"s3://{bucket}/a b/ü.jpg") == b"image"
    for uri, settings, reason in (
        (f"s3://{bucket}/gone", SETTINGS, Reason.IMAGE_NOT_FOUND),
        ("s3://no-such-bucket-here/x", SETTINGS, Reason.IMAGE_NOT_FOUND),
        (f"s3://{bucket}/big", SETTINGS, Reason.IMAGE_TOO_LARGE),
        (f"s3://{bucket}/empty", SETTINGS, Reason.NOT_AN_IMAGE),
        (f"s3://{bucket}", SETTINGS, Reason.UNSUPPORTED_URI),
        ("s3://Bad_Bucket!/x", SETTINGS, Reason.UNSUPPORTED_URI),
        (
            f"s3://{bucket}/big",
            SETTINGS.model_copy(update={"allowed_buckets": ("other",)}),
            Reason.FORBIDDEN_LOCATION,
        ),
    ):
        with pytest.raises(Rejected) as caught:
            fetch(s3, uri, settings)
        assert caught.value.reason is reason, uri


def test_a_store_that_is_down_is_a_dependency_to_wait_for(runtime: LocalRuntime) -> None:
    nowhere = runtime.s3_settings.model_copy(update={"endpoint_url": "http://127.0.0.1:1"})
    with pytest.raises(Retryable) as caught:
        fetch(nowhere, "s3://bucket/key")
    assert caught.value.dependency == DEPENDENCY


def test_wrong_credentials_are_ours_to_mend(runtime: LocalRuntime, bucket: str) -> None:
    wrong = runtime.s3_settings.model_copy(update={"secret_access_key": SecretStr("wrong")})
    with pytest.raises(Retryable) as caught:
        fetch(wrong, f"s3://{bucket}/key")
    assert caught.value.dependency == DEPENDENCY
