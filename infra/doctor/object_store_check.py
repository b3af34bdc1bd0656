"""The object store: an object is written to the bucket, read back, and deleted."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import uuid4

from sightstream.infra.doctor.clock_check import WallClock, skew
from sightstream.infra.doctor.types import Fact, Finding, Items, Unchecked
from sightstream.schemas.connections.s3 import S3Settings

PREFIX = "sightstream-doctor/"
BODY = b"sightstream doctor"
TIMEOUT_S = 5
_CLOCK = {"RequestTimeTooSkewed", "RequestExpired"}
_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "AuthorizationHeaderMalformed"}
_NO_BUCKET = {"NoSuchBucket", "404"}


class _Stop(Exception):
    """Holds the finding that makes further questions useless."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.detail)
        self.finding = finding


def check_object_store(
    settings: S3Settings, open_client: Callable[..., Any] | None = None, clock: WallClock = time.time
) -> Items:
    """Write, read and delete a small object. Blocks."""
    where = settings.endpoint_url or f"S3 in {settings.region}"
    if settings.bucket is None:
        yield Unchecked("the object store: set [s3] bucket, or give an image in a bucket with --image s3://...")
        return
    try:
        client = _client(settings, open_client)
        key = PREFIX + uuid4().hex
        steps = _Steps(client, settings.bucket, where)
        before = clock()
        answer = steps.call("write", "s3-write", client.put_object, Key=key, Body=BODY)
        yield from _clock(where, before, answer, clock())
        steps.call("read", "s3-read", client.get_object, Key=key)
        steps.call("delete", "s3-delete", client.delete_object, Key=key)
        yield Fact("bucket", f"{settings.bucket} at {where}: written, read and deleted")
    except _Stop as stop:
        yield stop.finding


def _client(settings: S3Settings, open_client: Callable[..., Any] | None) -> Any:
    from botocore.exceptions import BotoCoreError

    from sightstream.schemas.connections.s3_client import s3_client

    try:
        return (open_client or s3_client)(
            settings, connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"total_max_attempts": 1}
        )
    except (BotoCoreError, ValueError) as error:  # a profile that does not exist, an address that is none
        raise _Stop(Finding("s3-settings", f"[s3] can't be used: {error}; correct the setting it names")) from None


class _Steps:
    def __init__(self, client: Any, bucket: str, where: str) -> None:
        self._client, self._bucket, self._where = client, bucket, where

    def call(self, verb: str, refused: str, method: Callable[..., Any], **arguments: object) -> Any:
        """Return what the store answers. Raises _Stop with what is wrong; `refused` is the finding for a refusal."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        try:
            return method(Bucket=self._bucket, **arguments)
        except ClientError as error:
            raise _Stop(self._refusal(str(error.response.get("Error", {}).get("Code")), verb, refused)) from None
        except NoCredentialsError:
            raise _Stop(Finding("s3-credentials", f"{self._where}: no credentials are found; {_SET_KEYS}")) from None
        except BotoCoreError as error:
            raise _Stop(
                Finding(
                    "s3-unreachable",
                    f"{self._where} does not answer ({type(error).__name__}); start it, or correct [s3] endpoint_url",
                )
            ) from None

    def _refusal(self, code: str, verb: str, refused: str) -> Finding:
        if code in _CLOCK:
            return Finding(
                "clock-skew", f"{self._where} refuses our clock ({code}); let one time server (NTP) set both"
            )
        if code in _KEYS:
            return Finding("s3-credentials", f"{self._where} refuses the access key ({code}); {_SET_KEYS}")
        if code in _NO_BUCKET:
            return Finding(
                "s3-bucket", f"{self._where} has no bucket {self._bucket}; create it, or correct [s3] bucket"
            )
        return Finding(
            refused,
            f"{self._where} refuses to {verb} an object below {self._bucket}/{PREFIX} ({code}); allow this key to, in "
            f"the bucket's policy",
        )


_SET_KEYS = "set [s3] access_key_id and secret_access_key, profile or role_arn"


def _clock(where: str, before: float, answer: Any, after: float) -> Items:
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if date:  # whole seconds: up to one is lost
        yield from skew(where, before - 1, parsedate_to_datetime(date).timestamp(), after)
