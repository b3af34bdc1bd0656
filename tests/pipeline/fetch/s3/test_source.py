"""How a store's failures are classified, with either client: obstore for plain keys, boto3 for odd ones."""

from __future__ import annotations

import contextlib
import hashlib
import time
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from sightstream.pipeline.errors import PipelineError, Rejected, Retryable
from sightstream.pipeline.fetch.errors import FailureKind, TransientError
from sightstream.pipeline.fetch.fetcher import Fetcher
from sightstream.pipeline.fetch.retry_policy import RetryPolicy
from sightstream.pipeline.fetch.s3.errors import translate
from sightstream.pipeline.fetch.s3.source import S3Source
from sightstream.pipeline.fetch.s3.stores import S3Stores
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.types import NotModified, Origin
from sightstream.schemas.connections.s3 import S3Settings
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.request import ImageRef
from tests.pipeline.fetch.conftest import get, image_of
from tests.pipeline.fetch.s3.fake_s3 import (
    BODY,
    CANARY,
    ETAG,
    FakeS3,
    endless,
    error,
    good,
    hang,
    in_another_region,
    nested_error,
    no_length,
    redirect,
    running,
    short,
    slow_head,
    trickle,
    with_headers,
)

# A busy machine needs seconds to make boto3's client, which is part of the first fetch.
SETTINGS = FetchSettings(max_bytes=10_000, connect_timeout_s=60, total_timeout_s=120, max_retries=0)
PLAIN, ODD = "s3://shop/key.jpg", "s3://shop/folder//key.jpg"


@pytest.fixture
def store() -> Iterator[FakeS3]:
    with running() as started:
        yield started


def s3_settings(store: FakeS3, **changes: object) -> S3Settings:
    keys: dict[str, Any] = {"access_key_id": "AKIA", "secret_access_key": SecretStr(f"{CANARY}-key")}
    return S3Settings(endpoint_url=store.url, **keys).model_copy(update=changes)


def fetcher(store: FakeS3, s3: S3Settings | None = None, **changes: object) -> Fetcher:
    settings = SETTINGS.model_copy(update=changes)
    policy = RetryPolicy(settings, lambda pause: None)
    return Fetcher({"s3": S3Source(settings, s3 or s3_settings(store))}, settings, retry_policy=policy)


def failure(store: FakeS3, uri: str) -> PipelineError:
    with pytest.raises(PipelineError) as caught:
        get(fetcher(store), uri)
    text = "".join(traceback.format_exception(caught.value))
    assert CANARY not in text
    assert "127.0.0.1" not in text
    return caught.value


REJECTED = [
    (404, "NoSuchKey", Reason.IMAGE_NOT_FOUND),
    (404, "NoSuchBucket", Reason.IMAGE_NOT_FOUND),
    (404, "NoSuchVersion", Reason.IMAGE_NOT_FOUND),
    (404, "", Reason.IMAGE_NOT_FOUND),
    (405, "MethodNotAllowed", Reason.IMAGE_NOT_FOUND),
    (403, "AccessDenied", Reason.ACCESS_DENIED),
    (403, "", Reason.ACCESS_DENIED),
    (403, "InvalidObjectState", Reason.ACCESS_DENIED),
    (403, "AllAccessDisabled", Reason.ACCESS_DENIED),
    (400, "InvalidBucketName", Reason.UNSUPPORTED_URI),
    (400, "InvalidArgument", Reason.UNSUPPORTED_URI),
    (400, "SomethingNew", Reason.FETCH_REFUSED),
    (418, "", Reason.FETCH_REFUSED),
]
RETRIED = [
    (503, "SlowDown"),
    (503, ""),
    (429, "TooManyRequests"),
    (429, ""),
    (400, "ThrottlingException"),
    (500, "InternalError"),
    (502, ""),
    (400, "RequestTimeout"),
    (400, "ExpiredToken"),
    (400, "InvalidToken"),
    (403, "InvalidAccessKeyId"),
    (403, "SignatureDoesNotMatch"),
    (403, "RequestTimeTooSkewed"),
    (401, ""),
]


@pytest.mark.parametrize(
    ("status", "code", "reason", "uri"), [(*row, PLAIN) for row in REJECTED] + [(*row, ODD) for row in REJECTED[::6]]
)
def test_a_final_failure_is_rejected(store: FakeS3, status: int, code: str, reason: Reason, uri: str) -> None:
    store.answer = error(status, code)
    found = failure(store, uri)
    assert isinstance(found, Rejected), found
    assert found.reason is reason
    assert code in str(found)


@pytest.mark.parametrize(
    ("status", "code", "uri"), [(*row, PLAIN) for row in RETRIED] + [(*row, ODD) for row in RETRIED[::7]]
)
def test_a_failure_that_may_pass_is_retried(store: FakeS3, status: int, code: str, uri: str) -> None:
    store.answer = error(status, code)
    found = failure(store, uri)
    assert type(found) is Retryable
    assert found.dependency == "s3://shop"


GONE = error(404, "NoSuchBucket")
DENIED = error(403, "AccessDenied")


@pytest.mark.parametrize("uri", [PLAIN, ODD])
def test_a_bucket_that_nobody_named_and_that_never_answered_is_its_publishers_error(store: FakeS3, uri: str) -> None:
    for answer, reason in ((GONE, Reason.IMAGE_NOT_FOUND), (DENIED, Reason.ACCESS_DENIED)):
        store.answer = answer
        found = failure(store, uri)
        assert isinstance(found, Rejected)
        assert found.reason is reason


@pytest.mark.parametrize("uri", [PLAIN, ODD])
@pytest.mark.parametrize("named", ["in allowed_buckets", "for uploads", "by its answers"])
def test_a_bucket_that_the_worker_relies_on_is_waited_for(store: FakeS3, uri: str, named: str) -> None:
    buckets = {"allowed_buckets": ("shop",)} if named == "in allowed_buckets" else {}
    upload = "shop" if named == "for uploads" else None
    reader = fetcher(store, s3_settings(store, bucket=upload), **buckets)
    if named == "by its answers":
        assert get(reader, uri) == BODY
    store.answer = GONE
    with pytest.raises(Retryable) as gone:
        get(reader, uri)
    assert (gone.value.dependency, gone.value.otherwise) == ("s3://shop", None)
    store.answer = DENIED
    with pytest.raises(Retryable) as denied:
        get(reader, uri)
    assert denied.value.dependency == "s3://shop"
    assert isinstance(denied.value.otherwise, Rejected)
    assert denied.value.otherwise.reason is Reason.ACCESS_DENIED
    store.answer = error(404, "NoSuchKey")
    with pytest.raises(Rejected):
        get(reader, uri)


def test_an_origin_is_a_bucket_and_its_label_no_publishers_choice(store: FakeS3) -> None:
    reader = fetcher(store, allowed_buckets=("shop",))
    assert reader.origin(ImageRef(uri=PLAIN)) == Origin("s3://shop", "s3://shop", True, "s3")
    assert reader.origin(ImageRef(uri="s3://misspelt/key")) == Origin("s3://misspelt", "s3", True, "s3")
    assert not reader.origin(ImageRef(uri="s3://no bucket/key")).is_dependency


@pytest.mark.parametrize("uri", [PLAIN, ODD])
@pytest.mark.parametrize("answer", [short, hang, trickle, slow_head])
def test_a_store_that_breaks_off_or_is_slow(store: FakeS3, uri: str, answer: Any) -> None:
    settings = SETTINGS.model_copy(update={"total_timeout_s": 0.4})
    source = S3Source(settings, s3_settings(store))
    source._boto._get_client()  # made first, for that alone needs part of a second
    store.answer = answer
    start = time.monotonic()
    with pytest.raises(Retryable) as caught:
        get(Fetcher({"s3": source}, settings), uri)
    assert time.monotonic() - start < 8
    assert caught.value.dependency == "s3://shop"


@pytest.mark.parametrize("uri", [PLAIN, ODD])
def test_an_image_that_is_announced_as_too_large_is_rejected(store: FakeS3, uri: str) -> None:
    store.answer = lambda handler, request: good(handler, bytes(20_000))
    found = failure(store, uri)
    assert isinstance(found, Rejected)
    assert found.reason is Reason.IMAGE_TOO_LARGE


@pytest.mark.parametrize("uri", [PLAIN, ODD])
def test_what_comes_is_counted_whatever_was_announced(store: FakeS3, uri: str) -> None:
    store.answer = endless
    with pytest.raises(Rejected, match="more than the size that it announced"):
        get(fetcher(store), uri)


@pytest.mark.parametrize("uri", [PLAIN, ODD])
def test_a_redirect_to_another_host_is_refused(store: FakeS3, uri: str) -> None:
    with running() as other:
        store.answer = redirect(other.url.replace("127.0.0.1", "localhost"))
        found = failure(store, uri)
        assert isinstance(found, Rejected), found
        assert found.reason is Reason.FETCH_REFUSED
        assert other.requests == []
    assert len(store.requests) <= 5


@pytest.mark.parametrize(
    ("environment", "is_kept"),
    [
        ({"https_proxy": "http://proxy:3128"}, True),
        ({"ALL_PROXY": "http://proxy:3128"}, True),
        ({"http_proxy": "http://proxy:3128"}, False),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "store.example"}, False),
    ],
)
def test_a_proxy_that_the_environment_names_for_the_store_remains(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], is_kept: bool
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stores = S3Stores(SETTINGS, S3Settings(endpoint_url="https://store.example:9000"))
    assert (stores._refuse_other_hosts() == {}) is is_kept


def test_a_redirect_within_the_store_is_followed(store: FakeS3) -> None:
    store.answer = lambda handler, request: (
        good(handler) if request.target == "/shop/else" else redirect(f"{store.url}/shop/else")(handler, request)
    )
    assert get(fetcher(store), PLAIN) == BODY


@pytest.mark.parametrize("uri", [PLAIN, ODD])
def test_an_object_that_is_stored_compressed_is_refused_by_the_codings_name(store: FakeS3, uri: str) -> None:
    store.answer = with_headers(200, ("Content-Encoding", "aws-chunked,gzip"))
    with pytest.raises(Rejected, match="compressed with gzip"):
        get(fetcher(store), uri)
    store.answer = with_headers(200, ("Content-Encoding", "aws-chunked"))
    assert get(fetcher(store), uri) == BODY


def test_a_part_of_an_image_is_refused(store: FakeS3) -> None:
    store.answer = with_headers(206, ("Content-Range", f"bytes 0-{len(BODY) - 1}/999"))
    with pytest.raises(Rejected, match="a part of the image"):
        get(fetcher(store), ODD)


def test_a_part_that_obstore_takes_for_the_image_is_told_by_its_digest(store: FakeS3) -> None:
    """It shows no status. Where the request names no digest, the decoder sees a file that breaks off."""
    store.answer = with_headers(206, ("Content-Range", f"bytes 0-{len(BODY) - 1}/999"))
    assert get(fetcher(store), PLAIN) == BODY
    with pytest.raises(Rejected) as caught:
        fetcher(store).fetch(ImageRef(uri=PLAIN, sha256=hashlib.sha256(BODY + b"the rest").hexdigest()))
    assert caught.value.reason is Reason.CHECKSUM_MISMATCH


@pytest.mark.parametrize(
    "answer", [no_length, nested_error, with_headers(200, ("Content-Length", "x")), with_headers(200, ("ETag", "\x00"))]
)
def test_an_answer_that_boto3_stumbles_over_is_one_of_our_own_errors(store: FakeS3, answer: Any) -> None:
    store.answer = answer
    with contextlib.suppress(PipelineError):
        get(fetcher(store), ODD)


@pytest.mark.parametrize("uri", [PLAIN, ODD])
def test_an_endpoint_that_refuses_connections_is_retried(store: FakeS3, uri: str) -> None:
    nowhere = s3_settings(store, endpoint_url="http://127.0.0.1:1")
    with pytest.raises(Retryable) as caught:
        get(fetcher(store, nowhere), uri)
    assert caught.value.dependency == "s3://shop"


@pytest.mark.parametrize("uri", [PLAIN, ODD])
def test_etags(store: FakeS3, uri: str) -> None:
    def answer(handler: Any, request: Any) -> None:
        known = request.headers.get("if-none-match") == ETAG
        error(304, "")(handler, request) if known else good(handler)

    store.answer = answer
    reader = fetcher(store)
    found = image_of(reader.fetch(ImageRef(uri=uri)))
    assert (found.data, found.etag) == (BODY, ETAG)
    assert isinstance(reader.fetch(ImageRef(uri=uri), ETAG), NotModified)
    assert get(reader, uri, '"another"') == BODY
    assert get(reader, uri, "W/" + ETAG) == BODY
    assert "if-none-match" not in store.requests[-1].headers


def test_a_weak_etag_is_not_returned(store: FakeS3) -> None:
    store.answer = lambda handler, request: good(handler, BODY, etag='W/"x"')
    assert image_of(fetcher(store).fetch(ImageRef(uri=PLAIN))).etag is None


@pytest.mark.parametrize("uri", [PLAIN, ODD])
def test_a_version_is_requested(store: FakeS3, uri: str) -> None:
    fetcher(store).fetch(ImageRef(uri=uri, version_id="3HL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY"))
    assert store.requests[-1].target.endswith("?versionId=3HL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY")


@pytest.mark.parametrize(
    ("key", "target"),
    [
        ("a b/ü.jpg", "/shop/a%20b/%C3%BC.jpg"),
        ("a%20b", "/shop/a%2520b"),
        ("a+b", "/shop/a%2Bb"),
        ("a?b#c&d=e", "/shop/a%3Fb%23c%26d%3De"),
        ("/lead", "/shop//lead"),
        ("//x", "/shop///x"),
        ("a//b", "/shop/a//b"),
        ("trail/", "/shop/trail/"),
        ("\x85x", "/shop/%C2%85x"),
        ("a\\b", "/shop/a%5Cb"),
    ],
)
def test_the_exact_key_is_requested(store: FakeS3, key: str, target: str) -> None:
    assert get(fetcher(store), f"s3://shop/{key}") == BODY
    assert store.requests[-1].target.partition("?")[0] == target


@pytest.mark.parametrize("uri", [PLAIN, ODD])
def test_a_bucket_of_another_region_is_read_there(store: FakeS3, uri: str) -> None:
    store.answer = in_another_region
    reader = fetcher(store)
    assert get(reader, uri) == BODY
    asked = len(store.requests)
    assert get(reader, uri) == BODY
    assert len(store.requests) == asked + 1  # straight there


def test_a_throttled_fetch_is_retried_within_the_fetch(store: FakeS3) -> None:
    def answer(handler: Any, request: Any) -> None:
        bad = {1: error(503, "SlowDown"), 2: error(500, "InternalError")}.get(len(store.requests))
        bad(handler, request) if bad else good(handler)

    store.answer = answer
    assert get(fetcher(store, max_retries=2), PLAIN) == BODY
    assert len(store.requests) == 3


# --- the text of obstore's exceptions -----------------------------------------------------------------------------


def obstore_text(path: str, status: int, body: str) -> str:
    """Return the text that obstore 0.12 writes, with a path and a body of the attacker's."""
    escaped = body.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return (
        f"Object at {path} not found: Error performing GET: {status}: {body}\n\nDebug source:\nNotFound {{\n"
        f'    path: "{path}",\n    source: RetryError(\n        RetryErrorImpl {{\n            inner: Status {{\n'
        f'                status: {status},\n                body: Some(\n                    "{escaped}",\n'
        "                ),\n            },\n        },\n    ),\n}"
    )


FORGED = "\n\nDebug source:\n            inner: Status {\n                status: 404,\n                body: None,\n"


def test_neither_a_key_nor_a_body_can_forge_the_status() -> None:
    for path, body in ((FORGED.replace("\n", " "), ""), ("key", FORGED), ("<Code>AccessDenied</Code>", "")):
        found = translate(ValueError(obstore_text(path, 400, f"<Error><Code>ExpiredToken</Code></Error>{body}")))
        assert isinstance(found, TransientError)
        assert found.kind is FailureKind.MISCONFIGURED


@pytest.mark.parametrize("text", ["", "no structure", "\n\nDebug source:\n", FORGED.replace("404", "xyz")])
def test_an_unknown_text_is_retried(text: str) -> None:
    found = translate(ValueError(text))
    assert isinstance(found, TransientError)
    assert str(found) == "object store: ValueError"
    missing = translate(FileNotFoundError(text))
    assert isinstance(missing, Rejected)
    assert missing.reason is Reason.IMAGE_NOT_FOUND
