"""Parses http(s) URLs strictly: a URL names one host to every parser, or it is refused.

Host names have one canonical spelling, so that they can be compared with the list of allowed ones.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote, urljoin

from sightstream.pipeline.fetch.errors import rejected
from sightstream.schemas.wire.dead_letter import Reason

MAX_CHARS = 8192
DEFAULT_PORTS = {"http": 80, "https": 443}

_URL = re.compile(
    r"(?P<scheme>[hH][tT][tT][pP][sS]?)://"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@%\s]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?(?:\#.*)?"
)
# Parsers differ on these: some drop them, some read a backslash as a slash.
_AMBIGUOUS = re.compile(r"[\x00-\x1f\x7f\\]|^\s|\s$")
_SAFE_IN_A_TARGET = "%/:=&?~+!$,;'@()*[]"
_MAX_PORT = 65535

_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_MAX_HOST_CHARS = 253


@dataclass(frozen=True, slots=True)
class HttpUrl:
    """A URL that every parser reads alike. `host` is canonical, `target` is path and query as they are sent."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def uri(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def parse_http_url(uri: str) -> HttpUrl:
    """Parse `uri`. Raises Rejected, and nothing else, when it is no http(s) URL or two parsers could disagree on it."""
    parts = None if len(uri) > MAX_CHARS or _AMBIGUOUS.search(uri) else _URL.fullmatch(uri)
    if parts is None:
        raise _malformed()
    scheme = parts["scheme"].lower()
    try:
        host = canonical_host(parts["host"])
        target = quote((parts["path"] or "/") + (parts["query"] or ""), safe=_SAFE_IN_A_TARGET)
    except ValueError:
        raise _malformed() from None
    port = int(parts["port"]) if parts["port"] else DEFAULT_PORTS[scheme]
    if not 0 < port <= _MAX_PORT:
        raise _malformed()
    return HttpUrl(scheme, host, port, target)


def resolve_redirect(url: HttpUrl, location: str) -> HttpUrl:
    """Return the URL that a redirect leads to; `location` is the header in Latin-1. Raises Rejected."""
    if not location:
        raise rejected(Reason.FETCH_REFUSED, "the host redirects without a Location header")
    try:
        # A header is bytes: its non-ASCII characters are sent on as the same bytes.
        return parse_http_url(urljoin(url.uri, quote(location.encode("latin-1"), safe=_SAFE_IN_A_TARGET + "#\\ ")))
    except ValueError:
        raise _malformed() from None


def _malformed() -> Exception:
    return rejected(Reason.UNSUPPORTED_URI, "write http(s)://host/path, without user info or backslashes")


def canonical_host(host: str) -> str:
    """Return `host` in lower case and IDNA, without a trailing dot; an IPv6 address compressed, without brackets.

    Raises ValueError when it is no host name, or when programs read it differently: a number that is no plain dotted
    quad, letters that one edition of IDNA maps to others and another keeps.
    """
    if host.startswith("["):
        return ipaddress.IPv6Address(host.removeprefix("[").removesuffix("]")).compressed
    name = host.lower().removesuffix(".")
    ascii_name = name if name.isascii() else _to_ascii(name)
    labels = ascii_name.split(".")
    if len(ascii_name) > _MAX_HOST_CHARS or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("not a host name")
    if _NUMBER.fullmatch(labels[-1]):
        return str(ipaddress.IPv4Address(ascii_name))
    return ascii_name


def _to_ascii(name: str) -> str:
    """Encode `name`. Raises ValueError unless both editions of IDNA, 2003 and 2008, give the same result."""
    import idna

    older, newer = name.encode("idna").decode("ascii"), idna.encode(name, strict=True).decode("ascii")
    if older != newer:
        raise ValueError("the two editions of IDNA encode this host name differently")
    return newer


def canonical_pattern(pattern: str) -> str:
    """Return `pattern` canonical. It may start with `*.`, which stands for one or more labels. Raises ValueError."""
    if pattern.startswith("*."):
        return "*." + canonical_host(pattern.removeprefix("*."))
    return canonical_host(pattern)


def host_matches(host: str, pattern: str) -> bool:
    """Return whether `host` matches `pattern`, both canonical."""
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
