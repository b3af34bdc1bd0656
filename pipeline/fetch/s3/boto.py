"""Reads through boto3, which is slower, where obstore cannot: keys with empty segments, buckets of another region."""

from __future__ import annotations

import threading
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, ParamValidationError, ReadTimeoutError
from urllib3.exceptions import HTTPError

from sightstream.pipeline.errors import PipelineError
from sightstream.pipeline.fetch.deadline import Deadline
from sightstream.pipeline.fetch.errors import FailureKind, TransientError, check_size, rejected
from sightstream.pipeline.fetch.image_source import Body, strong_etag
from sightstream.pipeline.fetch.s3.errors import classify
from sightstream.pipeline.fetch.s3.url import S3Url
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.types import NotModified
from sightstream.schemas.connections.s3 import S3Settings
from sightstream.schemas.wire.dead_letter import Reason

CHUNK_BYTES = 64 * 1024
_NOT_MODIFIED = 304


class BotoReader:
    """Reads objects with one boto3 client, which follows a bucket to its region. Thread safe, as the client is.

    The client's timeouts are fixed when it is made: a fetch may end half of `total_timeout_s` late.
    """

    def __init__(self, settings: FetchSettings, s3: S3Settings) -> None:
        self._settings = settings
        self._s3 = s3
        self._lock = threading.Lock()
        self._client: Any = None

    def read(self, url: S3Url, version_id: str | None, etag: str | None, deadline: Deadline) -> Body | NotModified:
        """Read one object. Raises TransientError or Rejected."""
        options = {"VersionId": version_id, "IfNoneMatch": etag}
        given = {name: value for name, value in options.items() if value}
        try:
            response = self._get_client().get_object(Bucket=url.bucket, Key=url.key, **given)
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
        except (BotoCoreError, HTTPError, OSError) as error:
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
        finally:
            body.close()
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
                    max_pool_connections=64,
                )
            return self._client
