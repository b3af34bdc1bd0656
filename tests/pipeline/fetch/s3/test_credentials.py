"""Where the credentials come from: each way ends in a request that is signed with them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from sightstream.pipeline.errors import Retryable
from sightstream.pipeline.fetch.fetcher import Fetcher
from sightstream.pipeline.fetch.s3.source import S3Source
from sightstream.pipeline.fetch.s3.stores import MAX_STORES, S3Stores
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.schemas.connections.s3 import S3Settings
from tests.pipeline.fetch.conftest import get
from tests.pipeline.fetch.s3.fake_s3 import BODY, FakeS3, known_key, running

SETTINGS = FetchSettings(max_retries=0, total_timeout_s=120)
PLAIN, ODD = "s3://shop/key.jpg", "s3://shop/folder//key.jpg"
BOTH = pytest.mark.parametrize("uri", [PLAIN, ODD])


@pytest.fixture
def store() -> Iterator[FakeS3]:
    with running() as started:
        yield started


@pytest.fixture(autouse=True)
def keys_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let boto3's chain find nothing but this file."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "keys"))
    # obstore reads variables of its own, which must not matter.
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    return tmp_path / "keys"


def write_keys(file: Path, profile: str, key_id: str, token: str = "") -> None:
    more = f"aws_session_token = {token}\n" if token else ""
    file.write_text(f"[{profile}]\naws_access_key_id = {key_id}\naws_secret_access_key = s\n{more}", encoding="utf-8")


def fetcher(store: FakeS3, **given: Any) -> Fetcher:
    return Fetcher({"s3": S3Source(SETTINGS, S3Settings(endpoint_url=store.url, **given))}, SETTINGS)


def signed_with(store: FakeS3) -> str:
    found = re.search(r"Credential=([^/]+)/", store.requests[-1].headers.get("authorization", ""))
    return found[1] if found else ""


@BOTH
def test_the_keys_of_the_settings_come_first(store: FakeS3, keys_file: Path, uri: str) -> None:
    write_keys(keys_file, "default", "FROMFILE")
    keys = {"access_key_id": "OURS", "secret_access_key": SecretStr("s"), "session_token": SecretStr("t0ken")}
    assert get(fetcher(store, **keys), uri) == BODY
    assert signed_with(store) == "OURS"
    assert store.requests[-1].headers["x-amz-security-token"] == "t0ken"


@BOTH
def test_boto3s_chain_is_used_otherwise(store: FakeS3, keys_file: Path, uri: str) -> None:
    write_keys(keys_file, "default", "FROMFILE", "file-token")
    get(fetcher(store), uri)
    assert signed_with(store) == "FROMFILE"
    assert store.requests[-1].headers["x-amz-security-token"] == "file-token"


@BOTH
def test_a_profile(store: FakeS3, keys_file: Path, uri: str) -> None:
    write_keys(keys_file, "shop", "SHOPS")
    get(fetcher(store, profile="shop"), uri)
    assert signed_with(store) == "SHOPS"


@BOTH
@pytest.mark.parametrize("given", [{}, {"profile": "nobody"}])
def test_without_credentials_the_store_counts_as_down(store: FakeS3, uri: str, given: dict[str, Any]) -> None:
    with pytest.raises(Retryable) as caught:
        get(fetcher(store, **given), uri)
    assert caught.value.dependency == "s3://shop"
    assert store.requests == []


@BOTH
def test_a_role_is_assumed_with_them(store: FakeS3, keys_file: Path, uri: str) -> None:
    write_keys(keys_file, "default", "FROMFILE")
    role = {
        "role_arn": "arn:aws:iam::123456789012:role/reader",
        "role_external_id": SecretStr("external"),
        "role_session_name": "worker-1",
        "sts_endpoint_url": store.url,
    }
    reader = fetcher(store, **role)
    for _ in range(2):
        assert get(reader, uri) == BODY
    assert signed_with(store) == "ASSUMED"
    assert store.requests[-1].headers["x-amz-security-token"] == "assumed-token"
    asked = [request for request in store.requests if request.method == "POST"]
    assert len(asked) == 1
    assert "Credential=FROMFILE/" in asked[0].headers["authorization"]
    for part in (b"RoleSessionName=worker-1", b"ExternalId=external", b"role%2Freader"):
        assert part in asked[0].body


@BOTH
def test_anonymous_signs_nothing(store: FakeS3, keys_file: Path, uri: str) -> None:
    write_keys(keys_file, "default", "FROMFILE")
    assert get(fetcher(store, anonymous=True), uri) == BODY
    assert "authorization" not in store.requests[-1].headers


@BOTH
def test_keys_that_were_changed_on_disk_are_read_again(store: FakeS3, keys_file: Path, uri: str) -> None:
    write_keys(keys_file, "default", "OLD")
    reader = fetcher(store)
    assert get(reader, uri) == BODY
    store.answer = known_key("NEW")
    with pytest.raises(Retryable):
        get(reader, uri)
    write_keys(keys_file, "default", "NEW")
    assert get(reader, uri) == BODY


def test_with_a_missing_ca_file_the_store_counts_as_down(store: FakeS3, tmp_path: Path) -> None:
    with pytest.raises(Retryable) as caught:
        get(fetcher(store, ca_file=tmp_path / "gone.pem"), PLAIN)
    assert caught.value.dependency == "s3://shop"


@BOTH
@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_boto3s_variables_set_the_endpoint(
    store: FakeS3, monkeypatch: pytest.MonkeyPatch, uri: str, variable: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    monkeypatch.setenv(variable, store.url)
    settings = S3Settings(access_key_id="OURS", secret_access_key=SecretStr("s"))
    assert get(Fetcher({"s3": S3Source(SETTINGS, settings)}, SETTINGS), uri) == BODY


def test_contradictory_settings_stop_the_start() -> None:
    for given in (
        {"access_key_id": "A", "secret_access_key": "B", "profile": "shop"},
        {"anonymous": True, "profile": "shop"},
        {"anonymous": True, "role_arn": "arn:aws:iam::1:role/x"},
        {"role_session_name": "no spaces"},
    ):
        with pytest.raises(ValidationError):
            S3Settings(**given)


@pytest.mark.parametrize(
    ("given", "bucket", "url"),
    [
        ({"endpoint_url": "https://store.example"}, "shop", "https://store.example"),
        ({"endpoint_url": "https://store.example/base/"}, "shop", "https://store.example/base"),
        (
            {"endpoint_url": "https://store.example:9000", "path_style": False},
            "shop",
            "https://shop.store.example:9000",
        ),
        ({"endpoint_url": "https://store.example", "path_style": False}, "shop.images", "https://store.example"),
        ({"endpoint_url": "http://10.0.0.1:9000", "path_style": False}, "shop", "http://10.0.0.1:9000"),
    ],
)
def test_the_bucket_is_in_the_path_or_in_the_host(given: dict[str, Any], bucket: str, url: str) -> None:
    stores = S3Stores(SETTINGS, S3Settings(**given))
    config: Any = stores.get(bucket, 1.0).config
    assert config["endpoint"] == config["endpoint_url_s3"] == url
    assert config["virtual_hosted_style_request"] == str(bucket in url).lower()


def test_stores_are_few_and_their_timeouts_come_in_steps() -> None:
    stores = S3Stores(SETTINGS.model_copy(update={"total_timeout_s": 10}), S3Settings())
    assert stores.get("shop", 10.0) is stores.get("shop", 9.99)
    assert stores.get("shop", 10.0) is not stores.get("shop", 5.0)
    for remaining_s, timeout in ((10.0, "10s"), (7.6, "10s"), (7.5, "7s 500ms"), (2.6, "5s"), (0.1, "2s 500ms")):
        options: Any = stores.get("shop", remaining_s).client_options
        assert options["timeout"] == timeout
    for number in range(MAX_STORES + 5):
        stores.get(f"bucket-{number}", 10.0)
    assert len(stores._stores) == MAX_STORES
