"""Reads through boto3, which is slower, where obstore cannot: keys with empty segments, buckets of another region."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

from botocore.exceptions import ClientError, ConnectTimeoutError, ParamValidationError, ReadTimeoutError

from sightstream.pipeline.errors import PipelineError
from sightstream.pipeline.fetch.content_coding import check_coding
from sightstream.pipeline.fetch.deadline import Deadline
from sightstream.pipeline.fetch.errors import FailureKind, TransientError, check_size, rejected
from sightstream.pipeline.fetch.image_source import Body, strong_etag
from sightstream.pipeline.fetch.s3.errors import MORE_THAN_ANNOUNCED, classify
from sightstream.pipeline.fetch.s3.url import S3Url
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.types import NotModified
from sightstream.schemas.connections.s3 import S3Settings
from sightstream.schemas.connections.timeouts import CallTimedOut, call_with_timeout
from sightstream.schemas.wire.dead_letter import Reason

CHUNK_BYTES = 64 * 1024
MAX_CALLS = 64
MAX_REGION_QUESTIONS = 2  # to the region in the settings, and to the one that it named
_NOT_MODIFIED, _PARTIAL_CONTENT = 304, 206


class BotoReader:
    """Reads objects with one boto3 client, which follows a bucket to its region. Thread safe, as the client is.

    The client limits each wait for bytes, never the whole answer. So each call has a thread of its own, which is left
    behind at the deadline; MAX_CALLS of them may run or be left behind.
    """

    def __init__(self, settings: FetchSettings, s3: S3Settings) -> None:
        self._settings = settings
        self._s3 = s3
        self._lock = threading.Lock()
        self._client: Any = None
        self._calls = threading.BoundedSemaphore(MAX_CALLS)
        self._region_questions = _RegionQuestions()

    def read(self, url: S3Url, version_id: str | None, etag: str | None, deadline: Deadline) -> Body | NotModified:
        """Read one object until `deadline` at most. Raises TransientError or Rejected."""
        call = partial(self._read_in_turn, url, version_id, etag, deadline)
        try:
            return call_with_timeout(call, timeout_s=deadline.remaining_s())
        except CallTimedOut:
            raise TransientError(FailureKind.SLOW, "object store: no whole answer in time") from None

    def _read_in_turn(
        self, url: S3Url, version_id: str | None, etag: str | None, deadline: Deadline
    ) -> Body | NotModified:
        if not self._calls.acquire(timeout=deadline.remaining_s()):
            raise TransientError(FailureKind.SLOW, "object store: too many requests hang")
        try:
            return self._read(url, version_id, etag, deadline)
        finally:
            self._calls.release()

    def _read(self, url: S3Url, version_id: str | None, etag: str | None, deadline: Deadline) -> Body | NotModified:
        options = {"VersionId": version_id, "IfNoneMatch": etag}
        given = {name: value for name, value in options.items() if value}
        try:
            response = self._get_client().get_object(Bucket=url.bucket, Key=url.key, **given)
            _check_whole(response)
            return Body(self._read_body(response, deadline), strong_etag(response.get("ETag")))
        except PipelineError:
            raise
        except ParamValidationError:
            raise rejected(Reason.UNSUPPORTED_URI, "no bucket or key can have this name") from None
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if status == _NOT_MODIFIED and etag:
                return NotModified()
            code = error.response.get("Error", {}).get("Code", "")
            raise self._reset_if_misconfigured(classify(code, status)) from None
        except (ConnectTimeoutError, ReadTimeoutError):
            raise TransientError(FailureKind.SLOW, "object store: no answer in time") from None
        except Exception as error:  # botocore's parser raises KeyError, ValueError, RecursionError for odd answers
            raise TransientError(FailureKind.BROKEN, f"object store: {type(error).__name__}") from None

    def _read_body(self, response: dict[str, Any], deadline: Deadline) -> bytes:
        """Read the body in pieces as they arrive: boto3's `read(count)` waits for all of `count`, however slow."""
        body, length = response["Body"], response["ContentLength"]
        data = bytearray()
        try:
            check_size(length, self._settings.max_bytes)
            while len(data) < length:
                body.set_socket_timeout(deadline.remaining_s())
                if not (chunk := body._raw_stream.read1(CHUNK_BYTES)):
                    raise TransientError(FailureKind.BROKEN, "object store: the body broke off early")
                data += chunk
                check_size(len(data), self._settings.max_bytes)
        finally:
            body.close()
        if len(data) > length:
            raise rejected(Reason.FETCH_REFUSED, MORE_THAN_ANNOUNCED)
        return bytes(data)

    def _reset_if_misconfigured(self, error: PipelineError) -> PipelineError:
        """Return `error`; after refused credentials, the next request makes a client, which reads them again."""
        if isinstance(error, TransientError) and error.kind is FailureKind.MISCONFIGURED:
            with self._lock:
                self._client = None
        return error

    def _get_client(self) -> Any:
        with self._lock:
            if self._client is None:
                from sightstream.schemas.connections.s3_client import s3_client

                self._client = s3_client(
                    self._s3,
                    signature_version="s3v4",
                    connect_timeout=self._settings.connect_timeout_s,
                    read_timeout=self._settings.total_timeout_s / 2,
                    retries={"total_max_attempts": 1, "mode": "standard"},
                    max_pool_connections=MAX_CALLS,
                )
                self._client.meta.events.register("before-send.s3.HeadBucket", self._region_questions.count)
            return self._client


def _check_whole(response: dict[str, Any]) -> None:
    """Raise Rejected for an answer that is part of an image, or a compressed one."""
    if response["ResponseMetadata"]["HTTPStatusCode"] == _PARTIAL_CONTENT or "ContentRange" in response:
        raise rejected(Reason.FETCH_REFUSED, "object store: it answered with a part of the image")
    check_coding(response.get("ContentEncoding", ""))


class _RegionQuestions(threading.local):
    """Counts how often botocore asks for a bucket's region during one call, which has a thread of its own.

    It asks when it is redirected, and again when the question is redirected, until it runs out of stack.
    """

    asked = 0

    def count(self, **_: object) -> None:
        self.asked += 1
        if self.asked > MAX_REGION_QUESTIONS:
            raise rejected(Reason.FETCH_REFUSED, "object store: it redirects, and not to a bucket's region")
