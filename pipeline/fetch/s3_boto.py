"""What obstore cannot ask for, through boto3: keys with empty segments, buckets of another region. Slower."""

from __future__ import annotations

import threading
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, ParamValidationError, ReadTimeoutError
from urllib3.exceptions import HTTPError

from sightstream.pipeline.errors import PipelineError
from sightstream.pipeline.fetch.refusals import check_size, rejected
from sightstream.pipeline.fetch.s3_object import S3Object
from sightstream.pipeline.fetch.s3_verdict import judge
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.fetch.source import Body, strong_etag
from sightstream.pipeline.fetch.time_limit import TimeLimit
from sightstream.pipeline.fetch.trouble import Transient, Trouble
from sightstream.pipeline.types import NotModified
from sightstream.schemas.connections.s3 import S3Settings
from sightstream.schemas.wire.dead_letter import Reason

CHUNK = 64 * 1024
_NOT_MODIFIED = 304


class BotoReader:
    """Thread safe: boto3's clients are. Follows a bucket to its region.

    Its time limits are fixed when it is made: a fetch may end half of `total_timeout_s` late.
    """

    def __init__(self, settings: FetchSettings, s3: S3Settings) -> None:
        self._settings = settings
        self._s3 = s3
        self._lock = threading.Lock()
        self._client: Any = None

    def read(self, wanted: S3Object, version_id: str | None, etag: str | None, limit: TimeLimit) -> Body | NotModified:
        """Raises Transient or Rejected."""
        options = {"VersionId": version_id, "IfNoneMatch": etag}
        given = {name: value for name, value in options.items() if value}
        try:
            answer = self._connected().get_object(Bucket=wanted.bucket, Key=wanted.key, **given)
            return Body(self._body(answer, limit), strong_etag(answer.get("ETag")))
        except PipelineError:
            raise
        except ParamValidationError:
            raise rejected(Reason.UNSUPPORTED_URI, "no bucket or key can have this name") from None
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if status == _NOT_MODIFIED and etag:
                return NotModified()
            raise self._learned(judge(error.response.get("Error", {}).get("Code", ""), status)) from None
        except (ConnectTimeoutError, ReadTimeoutError):
            raise Transient(Trouble.SLOW, "object store: no answer in time") from None
        except (BotoCoreError, HTTPError, OSError) as error:
            raise Transient(Trouble.BROKEN, f"object store: {type(error).__name__}") from None

    def _body(self, answer: dict[str, Any], limit: TimeLimit) -> bytes:
        """As it comes: boto3's own `read(count)` waits for all of `count`, however slowly it trickles in."""
        body, length = answer["Body"], answer["ContentLength"]
        data = bytearray()
        try:
            check_size(length, self._settings.max_bytes)
            while len(data) < length:
                body.set_socket_timeout(limit.left_s())
                if not (chunk := body._raw_stream.read1(CHUNK)):
                    raise Transient(Trouble.BROKEN, "object store: the body broke off early")
                data += chunk
        finally:
            body.close()
        return bytes(data)

    def _learned(self, error: PipelineError) -> PipelineError:
        """Refused credentials are read anew by the next client."""
        if isinstance(error, Transient) and error.trouble is Trouble.UNTRUSTED:
            with self._lock:
                self._client = None
        return error

    def _connected(self) -> Any:
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
