"""The model server's base URL, the key that it asks for, and the certificates that we trust."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import certifi

from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.errors import Fatal

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """A parsed base URL; `path` comes before every endpoint's own."""

    scheme: str
    host: str
    port: int
    path: str


def parse_base_url(url: str | None) -> BaseUrl:
    """Parse the configured URL. Raises Fatal with what to write."""
    if not url:
        raise Fatal("no model server: set SIGHTSTREAM_ENGINE_REMOTE_URL, such as http://gpu-7:8000/v1")
    try:
        return _parse(url)
    except ValueError:
        advice = "write http(s)://host:port/v1; a key belongs in SIGHTSTREAM_ENGINE_REMOTE_API_KEY"
        raise Fatal(f"SIGHTSTREAM_ENGINE_REMOTE_URL can't be used: {advice}") from None  # which may repeat a secret


def _parse(url: str) -> BaseUrl:
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in _PORTS or not re.fullmatch(r"[^\s?#@\\]+", url):
        raise ValueError("not a base URL")
    host = parts.hostname.encode("idna").decode()
    path = quote(parts.path.rstrip("/"), safe="/%~!$&'()*+,;=:")
    return BaseUrl(parts.scheme, host, parts.port or _PORTS[parts.scheme], path)


def api_key(settings: EngineSettings) -> str | None:
    """Return the key, None when none is set. Raises Fatal, without the key, when a header can't carry it."""
    key = settings.remote_api_key.get_secret_value().strip() if settings.remote_api_key else ""
    if not re.fullmatch(r"[ -~]*", key):
        raise Fatal("SIGHTSTREAM_ENGINE_REMOTE_API_KEY has characters that no HTTP header can carry")
    return key or None


def tls_context(settings: EngineSettings) -> ssl.SSLContext:
    """Return a context that always verifies certificates. Raises Fatal when the authorities' file can't be read."""
    try:
        context = ssl.create_default_context(cafile=settings.remote_ca_file)
    except OSError as error:
        raise Fatal(f"SIGHTSTREAM_ENGINE_REMOTE_CA_FILE can't be read: {error.strerror or error}") from error
    if settings.remote_ca_file is None:
        context.load_verify_locations(certifi.where())  # the system's may be missing
    return context
