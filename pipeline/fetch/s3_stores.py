"""obstore's clients: one a bucket and time limit, a bounded number of them."""

from __future__ import annotations

import ipaddress
import math
import os
import threading
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from obstore.store import S3Store

from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.schemas.connections.s3 import S3Settings

MAX_STORES = 64
_STEPS = 4
# botocore renews what has under ten minutes to live: what it gave a minute ago is good.
_CREDENTIALS_ARE_GOOD_FOR = timedelta(minutes=1)


class S3Stores:
    """Thread safe. A store's time limit is fixed when it is made, so there are up to four a bucket."""

    def __init__(self, settings: FetchSettings, s3: S3Settings) -> None:
        self._settings = settings
        self._s3 = s3
        self._lock = threading.Lock()
        self._stores: OrderedDict[tuple[str, int], S3Store] = OrderedDict()
        self._credentials = _Credentials(s3)
        self._url = s3.endpoint_url or _endpoint_of_boto3()

    def get(self, bucket: str, left_s: float) -> S3Store:
        """A store whose requests end within `left_s` and a quarter of `total_timeout_s`."""
        steps = max(1, min(_STEPS, math.ceil(left_s / self._settings.total_timeout_s * _STEPS)))
        with self._lock:
            store = self._stores.pop((bucket, steps), None) or self._new(bucket, steps)
            self._stores[bucket, steps] = store
            if len(self._stores) > MAX_STORES:
                self._stores.popitem(last=False)
            return store

    def forget(self) -> None:
        """The credentials were refused: what has changed on disk or in the chain since is read anew."""
        with self._lock:
            self._stores.clear()
            self._credentials = _Credentials(self._s3)

    def _new(self, bucket: str, steps: int) -> S3Store:
        given: dict[str, Any] = {"skip_signature": True}
        if not self._s3.anonymous:
            given = {"skip_signature": False, "credential_provider": self._credentials}
        return S3Store(
            bucket,
            region=self._s3.region,
            virtual_hosted_style_request=not self._in_path(bucket),
            client_options=self._client_options(steps),
            retry_config={"max_retries": 0},
            **self._endpoint(bucket),
            **given,
        )

    def _client_options(self, steps: int) -> Any:
        ca_file = self._s3.ca_file or os.environ.get("AWS_CA_BUNDLE")
        options: dict[str, Any] = {
            "allow_http": (self._url or "").lower().startswith("http://"),
            "connect_timeout": timedelta(seconds=self._settings.connect_timeout_s),
            "timeout": timedelta(seconds=self._settings.total_timeout_s * steps / _STEPS),
            "pool_idle_timeout": timedelta(seconds=self._settings.idle_connection_s),
        }
        if ca_file:
            with open(ca_file, "rb") as file:
                options["root_certificate"] = file.read()
        return options

    def _endpoint(self, bucket: str) -> dict[str, Any]:
        """Both names, for obstore would take the second from the environment and prefer it."""
        if self._url is None:
            return {}
        parts = urlsplit(self._url)
        if not self._in_path(bucket):
            parts = parts._replace(netloc=f"{bucket}.{parts.netloc}")
        url = urlunsplit(parts).rstrip("/")
        return {"endpoint": url, "aws_endpoint_url_s3": url}

    def _in_path(self, bucket: str) -> bool:
        """As boto3 decides it: a bucket that is no single label, and an endpoint that is an address, want it."""
        host = urlsplit(self._url or "").hostname or ""
        return self._s3.path_style or "." in bucket or bucket != bucket.lower() or "_" in bucket or _is_address(host)


def _endpoint_of_boto3() -> str | None:
    """boto3 reads these by itself; both clients must ask the same store."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class _Credentials:
    """What obstore calls for credentials; boto3 is loaded and asked at the first call. Thread safe."""

    def __init__(self, s3: S3Settings) -> None:
        self._s3 = s3
        self._lock = threading.Lock()
        self._session: Any = None

    def __call__(self) -> Any:
        with self._lock:
            if self._session is None:
                from sightstream.schemas.connections.s3_client import s3_session

                self._session = s3_session(self._s3)
            found = self._session.get_credentials()
        if found is None:
            raise LookupError("no credentials in the settings, nor in boto3's chain")
        keys = found.get_frozen_credentials()
        return {
            "access_key_id": keys.access_key,
            "secret_access_key": keys.secret_key,
            "token": keys.token,
            "expires_at": datetime.now(UTC) + _CREDENTIALS_ARE_GOOD_FOR,
        }
