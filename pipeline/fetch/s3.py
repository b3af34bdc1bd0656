"""s3:// through boto3: S3, MinIO, SeaweedFS. The endpoint comes from settings, never from a message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from urllib3.exceptions import HTTPError

from pipeline.errors import PipelineError, Retryable
from pipeline.fetch.refusals import check_size, rejected
from pipeline.fetch.settings import FetchSettings
from schemas.dead_letter import Reason, Stage
from schemas.request import ImageRef
from schemas.s3 import S3Settings

CHUNK = 1024**2
DEPENDENCY = "s3"

_NOT_FOUND = {"NoSuchKey", "NoSuchBucket", "NoSuchVersion", "404", "NotFound", "InvalidObjectName", "KeyTooLongError"}
_DENIED = {"403", "AccessDenied", "InvalidObjectState", "AllAccessDisabled"}
_NO_SUCH_NAME = {"InvalidBucketName", "InvalidURI", "InvalidArgument"}
# Throttling, and credentials or a clock that are wrong: the request waits until they are right.
_OURS_TO_MEND = {
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "RequestLimitExceeded",
    "RequestTimeout",
    "RequestTimeTooSkewed",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidSecurity",
}


class S3Source:
    """Thread safe: boto3's clients are."""

    def __init__(self, settings: FetchSettings, s3: S3Settings) -> None:
        self._settings = settings
        config = Config(
            signature_version="s3v4",
            s3={"addressing_style": s3.addressing_style},
            connect_timeout=settings.connect_timeout_s,
            read_timeout=settings.total_timeout_s,
            retries={"total_max_attempts": 2, "mode": "standard"},
            max_pool_connections=64,
        )
        self._client = boto3.client("s3", config=config, **s3.client_arguments())

    def open(self, image: ImageRef) -> Iterator[bytes]:
        bucket, key = self._address(image.uri)
        version = {"VersionId": image.version_id} if image.version_id else {}
        try:
            answer = self._client.get_object(Bucket=bucket, Key=key, **version)
            yield from self._body(answer)
        except PipelineError:
            raise
        except ParamValidationError:
            raise rejected(Reason.UNSUPPORTED_URI, "no bucket or key can have this name") from None
        except ClientError as error:
            raise _translate(error) from error
        except (BotoCoreError, HTTPError, OSError) as error:
            raise Retryable(Stage.FETCH, f"object store: {type(error).__name__}") from error

    def dependency(self, image: ImageRef) -> str | None:
        return DEPENDENCY

    def _address(self, uri: str) -> tuple[str, str]:
        bucket, _, key = uri.partition("://")[2].partition("/")
        if not bucket or not key:
            raise rejected(Reason.UNSUPPORTED_URI, "write s3://bucket/key")
        if self._settings.allowed_buckets and bucket not in self._settings.allowed_buckets:
            raise rejected(Reason.FORBIDDEN_LOCATION, "the bucket is not among the allowed ones")
        return bucket, key

    def _body(self, answer: dict[str, Any]) -> Iterator[bytes]:
        body = answer["Body"]
        try:
            check_size(answer["ContentLength"], self._settings.max_bytes)
            yield from body.iter_chunks(CHUNK)
        finally:
            body.close()


def _translate(error: ClientError) -> PipelineError:
    code = error.response.get("Error", {}).get("Code", "unknown")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    detail = f"object store: {code} ({status})"
    if code in _OURS_TO_MEND or status == 429 or status >= 500:
        return Retryable(Stage.FETCH, detail)
    if code in _NOT_FOUND or status == 404:
        return rejected(Reason.IMAGE_NOT_FOUND, detail)
    if code in _DENIED:
        return rejected(Reason.ACCESS_DENIED, detail)
    if code in _NO_SUCH_NAME:
        return rejected(Reason.UNSUPPORTED_URI, detail)
    return rejected(Reason.FETCH_REFUSED, detail)
