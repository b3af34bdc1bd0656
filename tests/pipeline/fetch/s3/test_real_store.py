"""S3 against a real store: keys, refusals, etags, versions, credentials."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.pipeline.errors import Rejected, Retryable
from sightstream.pipeline.fetch.build import build_fetcher
from sightstream.pipeline.fetch.fetcher import Fetcher
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.types import NotModified
from sightstream.schemas.connections.s3 import S3Settings
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.request import ImageRef
from tests.pipeline.fetch.conftest import get, image_of

pytestmark = pytest.mark.real

SETTINGS = FetchSettings(max_bytes=10_000, connect_timeout_s=1, total_timeout_s=30, backoff_s=0.01)
KEYS = [
    *(
        "plain",
        "a b",
        "ü/é.jpg",
        "e\u0301",
        "日本",
        "100%",
        "a%20b",
        "a%252Fb",
        "a%2Fb",
        "%C3%A9",
        "a+b",
        "q?x=1",
        "h#frag",
    ),
    *("q?versionId=x", "a:b", "a&b=c", "back\\slash", "a;b,c@d$e", "a*b", "(x)'!", "[x]", "<x>", '`x|^{}"', "tilde~"),
    *("a//b", "//x", "/lead", "a/b//c", "...", "a/.b", "..a/b..", "\u202e", "\xa0", "x" * 200, "s3://x/y", "🦊"),
]


def fetcher(s3: S3Settings, **changes: object) -> Fetcher:
    return build_fetcher(SETTINGS.model_copy(update=changes), s3)


@pytest.fixture
def s3(runtime: LocalRuntime) -> S3Settings:
    return runtime.s3_settings


def test_each_key_is_its_own_object(s3: S3Settings, s3_client: Any, bucket: str) -> None:
    for key in KEYS:
        s3_client.put_object(Bucket=bucket, Key=key, Body=f"the object {key}".encode())
    reader = fetcher(s3)
    for key in KEYS:
        assert get(reader, f"s3://{bucket}/{key}") == f"the object {key}".encode()


@pytest.mark.parametrize("key", [".", "..", "a/../plain", "./plain", "a/./plain", "plain/.."])
def test_a_key_that_other_programs_would_change_is_refused(
    s3: S3Settings, s3_client: Any, bucket: str, key: str
) -> None:
    s3_client.put_object(Bucket=bucket, Key="plain", Body=b"image")
    with pytest.raises(Rejected) as caught:
        get(fetcher(s3), f"s3://{bucket}/{key}")
    assert caught.value.reason is Reason.UNSUPPORTED_URI


def test_refusals(s3: S3Settings, s3_client: Any, bucket: str) -> None:
    for key, body in {"big": bytes(20_000), "empty": b"", "folder//big": bytes(20_000)}.items():
        s3_client.put_object(Bucket=bucket, Key=key, Body=body)
    other: dict[str, Any] = {"allowed_buckets": ("other",)}
    for uri, changes, reason in (
        (f"s3://{bucket}/gone", {}, Reason.IMAGE_NOT_FOUND),
        (f"s3://{bucket}/gone//gone", {}, Reason.IMAGE_NOT_FOUND),
        ("s3://no-such-bucket-here/x", {}, Reason.IMAGE_NOT_FOUND),
        (f"s3://{bucket}/big", {}, Reason.IMAGE_TOO_LARGE),
        (f"s3://{bucket}/folder//big", {}, Reason.IMAGE_TOO_LARGE),
        (f"s3://{bucket}/empty", {}, Reason.NOT_AN_IMAGE),
        (f"s3://{bucket}/{'x' * 1025}", {}, Reason.UNSUPPORTED_URI),
        (f"s3://{bucket}", {}, Reason.UNSUPPORTED_URI),
        (f"s3://{bucket}/", {}, Reason.UNSUPPORTED_URI),
        ("s3:///x", {}, Reason.UNSUPPORTED_URI),
        ("s3://Bad_Bucket!/x", {}, Reason.UNSUPPORTED_URI),
        (f"s3://user:password@{bucket}/x", {}, Reason.UNSUPPORTED_URI),
        (f"s3://../{bucket}/big", {}, Reason.UNSUPPORTED_URI),
        (f"s3://{bucket}/big", other, Reason.FORBIDDEN_LOCATION),
        (f"s3://{bucket}/folder//big", other, Reason.FORBIDDEN_LOCATION),
        (f"s3://{bucket}/big", {"only_listed": True}, Reason.FORBIDDEN_LOCATION),
    ):
        with pytest.raises(Rejected) as caught:
            get(fetcher(s3, **changes), uri)
        assert caught.value.reason is reason, uri
    listed = fetcher(s3, allowed_buckets=(bucket,), only_listed=True, max_bytes=20_000)
    assert len(get(listed, f"S3://{bucket}/big")) == 20_000


@pytest.mark.parametrize("key", ["key", "folder//key"])
def test_unchanged_until_it_is_written_again(s3: S3Settings, s3_client: Any, bucket: str, key: str) -> None:
    reader, image = fetcher(s3), ImageRef(uri=f"s3://{bucket}/{key}")
    s3_client.put_object(Bucket=bucket, Key=key, Body=b"first")
    first = image_of(reader.fetch(image))
    assert isinstance(reader.fetch(image, first.etag), NotModified)
    s3_client.put_object(Bucket=bucket, Key=key, Body=b"second")
    second = image_of(reader.fetch(image, first.etag))
    assert second.data == b"second"
    assert second.etag != first.etag


@pytest.mark.parametrize("key", ["key", "folder//key"])
def test_versions(s3: S3Settings, s3_client: Any, bucket: str, key: str) -> None:
    s3_client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    versions = [s3_client.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"] for body in (b"first", b"second")]
    reader, uri = fetcher(s3), f"s3://{bucket}/{key}"
    assert [image_of(reader.fetch(ImageRef(uri=uri, version_id=v))).data for v in versions] == [b"first", b"second"]
    assert get(reader, uri) == b"second"
    with pytest.raises(Rejected) as caught:
        reader.fetch(ImageRef(uri=uri, version_id=versions[0][::-1]))
    assert caught.value.reason in (Reason.IMAGE_NOT_FOUND, Reason.UNSUPPORTED_URI)


@pytest.mark.parametrize("key", ["key", "folder//key"])
def test_with_wrong_credentials_the_store_counts_as_down(s3: S3Settings, s3_client: Any, bucket: str, key: str) -> None:
    s3_client.put_object(Bucket=bucket, Key=key, Body=b"image")
    for changes in ({"secret_access_key": SecretStr("wrong-secret")}, {"access_key_id": "UNKNOWN"}):
        with pytest.raises(Retryable) as caught:
            get(fetcher(s3.model_copy(update=changes)), f"s3://{bucket}/{key}")
        assert caught.value.dependency == f"s3://{bucket}"
        assert "wrong-secret" not in str(caught.value)


def test_a_public_bucket_is_read_without_keys_and_a_private_one_is_not(
    s3: S3Settings, s3_client: Any, bucket: str
) -> None:
    anonymous = S3Settings(endpoint_url=s3.endpoint_url, anonymous=True)
    s3_client.put_object(Bucket=bucket, Key="key", Body=b"image")
    with pytest.raises(Rejected) as caught:
        get(fetcher(anonymous), f"s3://{bucket}/key")
    assert caught.value.reason is Reason.ACCESS_DENIED
    everyone = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    policy = {"Version": "2012-10-17", "Statement": [everyone]}
    s3_client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    assert get(fetcher(anonymous), f"s3://{bucket}/key") == b"image"
