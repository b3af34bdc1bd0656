"""An http(s) reference, read strictly: it names one host to every parser, or it is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urljoin

from sightstream.pipeline.fetch.host_name import canonical_host
from sightstream.pipeline.fetch.refusals import rejected
from sightstream.schemas.wire.dead_letter import Reason

MAX_CHARS = 8192
DEFAULT_PORTS = {"http": 80, "https": 443}

_REFERENCE = re.compile(
    r"(?P<scheme>[hH][tT][tT][pP][sS]?)://"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@%\s]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?(?:\#.*)?"
)
# Parsers differ on these: some drop them, some read a backslash as a slash.
_NEVER = re.compile(r"[\x00-\x1f\x7f\\]|^\s|\s$")
_KEPT_IN_A_TARGET = "%/:=&?~+!$,;'@()*[]"
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Place:
    """An address that may be asked. `host` is canonical, `target` is path and query as they are sent."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def uri(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def read_place(uri: str) -> Place:
    """Raises Rejected, and nothing else, for what is no http(s) address or could be read in two ways."""
    found = None if len(uri) > MAX_CHARS or _NEVER.search(uri) else _REFERENCE.fullmatch(uri)
    if found is None:
        raise _unreadable()
    scheme = found["scheme"].lower()
    try:
        host = canonical_host(found["host"])
        target = quote((found["path"] or "/") + (found["query"] or ""), safe=_KEPT_IN_A_TARGET)
    except ValueError:
        raise _unreadable() from None
    port = int(found["port"]) if found["port"] else DEFAULT_PORTS[scheme]
    if not 0 < port <= _MAX_PORT:
        raise _unreadable()
    return Place(scheme, host, port, target)


def redirected(place: Place, location: str | None) -> Place:
    """Where a redirect leads; `location` is the header as http.client gives it. Raises Rejected."""
    if not location:
        raise rejected(Reason.FETCH_REFUSED, "the host redirects to nowhere")
    try:
        # A header is bytes: what is not ASCII is sent on as the same bytes.
        return read_place(urljoin(place.uri, quote(location.encode("latin-1"), safe=_KEPT_IN_A_TARGET + "#\\ ")))
    except ValueError:
        raise _unreadable() from None


def _unreadable() -> Exception:
    return rejected(Reason.UNSUPPORTED_URI, "write http(s)://host/path, without user info or backslashes")
