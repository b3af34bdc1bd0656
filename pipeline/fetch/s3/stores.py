"""Keeps obstore's clients: one per bucket and timeout, a bounded number of them."""

from __future__ import annotations

import ipaddress
import math
import os
import threading
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from obstore.store import S3Store

from sightstream.pipeline.fetch.s3.errors import NOWHERE
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.schemas.connections.s3 import S3Settings

MAX_STORES = 64
_TIMEOUT_STEPS = 4
# botocore renews credentials ten minutes before they expire, so they are valid for at least a minute.
_CREDENTIALS_TTL = timedelta(minutes=1)


class S3Stores:
    """Keeps the clients. Thread safe. A client's timeout is fixed when it is made: there are up to four per bucket."""

    def __init__(self, settings: FetchSettings, s3: S3Settings) -> None:
        self._settings = settings
        self._s3 = s3
        self._lock = threading.Lock()
        self._stores: OrderedDict[tuple[str, int], S3Store] = OrderedDict()
        self._credentials = _CredentialProvider(s3)
        self._url = s3.endpoint_url or _boto3_endpoint()

    def get(self, bucket: str, remaining_s: float) -> S3Store:
        """Return a store whose requests end within `remaining_s` and a quarter of `total_timeout_s`."""
        steps = max(1, min(_TIMEOUT_STEPS, math.ceil(remaining_s / self._settings.total_timeout_s * _TIMEOUT_STEPS)))
        with self._lock:
            store = self._stores.pop((bucket, steps), None) or self._new(bucket, steps)
            self._stores[bucket, steps] = store
            if len(self._stores) > MAX_STORES:
                self._stores.popitem(last=False)
            return store

    def reset(self) -> None:
        """Drop the clients and their credentials. After a refusal, this picks up keys that changed on disk since."""
        with self._lock:
            self._stores.clear()
            self._credentials = _CredentialProvider(self._s3)

    def _new(self, bucket: str, steps: int) -> S3Store:
        auth: dict[str, Any] = {"skip_signature": True}
        if not self._s3.anonymous:
            auth = {"skip_signature": False, "credential_provider": self._credentials}
        return S3Store(
            bucket,
            region=self._s3.region,
            virtual_hosted_style_request=not self._uses_path_style(bucket),
            client_options=self._client_options(steps),
            retry_config={"max_retries": 0},
            **self._endpoint(bucket),
            **auth,
        )

    def _client_options(self, steps: int) -> Any:
        ca_file = self._s3.ca_file or os.environ.get("AWS_CA_BUNDLE")
        options: dict[str, Any] = {
            "allow_http": (self._url or "").lower().startswith("http://"),
            "connect_timeout": timedelta(seconds=self._settings.connect_timeout_s),
            "timeout": timedelta(seconds=self._settings.total_timeout_s * steps / _TIMEOUT_STEPS),
            "pool_idle_timeout": timedelta(seconds=self._settings.idle_connection_s),
            **self._refuse_other_hosts(),
        }
        if ca_file:
            with open(ca_file, "rb") as file:
                options["root_certificate"] = file.read()
        return options

    def _refuse_other_hosts(self) -> dict[str, Any]:
        """Return options that end a redirect to another host: obstore follows redirects, and cannot be told not to.

        All hosts but the store's own are reached through a proxy that does not exist. Where the environment names a
        proxy for the store, that proxy remains, and decides about redirects.
        """
        store = urlsplit(self._url or f"https://s3.{self._s3.region}.amazonaws.com")
        host = store.hostname or ""
        proxies = getproxies()
        if (store.scheme in proxies or "all" in proxies) and not proxy_bypass(host):
            return {}
        return {"proxy_url": f"http://{NOWHERE}", "proxy_excludes": host}

    def _endpoint(self, bucket: str) -> dict[str, Any]:
        """Return both names of the option: obstore would read the second from the environment and prefer it."""
        if self._url is None:
            return {}
        parts = urlsplit(self._url)
        if not self._uses_path_style(bucket):
            parts = parts._replace(netloc=f"{bucket}.{parts.netloc}")
        url = urlunsplit(parts).rstrip("/")
        return {"endpoint": url, "aws_endpoint_url_s3": url}

    def _uses_path_style(self, bucket: str) -> bool:
        """Decide as boto3 does: a bucket that is no single DNS label needs it, or an endpoint that is an IP address."""
        host = urlsplit(self._url or "").hostname or ""
        return self._s3.path_style or "." in bucket or bucket != bucket.lower() or "_" in bucket or _is_address(host)


def _boto3_endpoint() -> str | None:
    """Return the endpoint that boto3 reads from the environment; both clients must use the same store."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class _CredentialProvider:
    """Gives obstore the credentials that boto3 finds. Thread safe. Loads boto3 at the first call."""

    def __init__(self, s3: S3Settings) -> None:
        self._s3 = s3
        self._lock = threading.Lock()
        self._session: Any = None

    def __call__(self) -> Any:
        with self._lock:
            if self._session is None:
                from sightstream.schemas.connections.s3_client import s3_session

                self._session = s3_session(self._s3)
            credentials = self._session.get_credentials()
        if credentials is None:
            raise LookupError("no credentials: set [s3] access_key_id and secret_access_key, or provide them to boto3")
        keys = credentials.get_frozen_credentials()
        return {
            "access_key_id": keys.access_key,
            "secret_access_key": keys.secret_key,
            "token": keys.token,
            "expires_at": datetime.now(UTC) + _CREDENTIALS_TTL,
        }
