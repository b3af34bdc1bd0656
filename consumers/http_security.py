"""What all our HTTP servers share: where they listen, whom they answer, and the headers on every answer.

A page of a hostile site can make its own name lead to this machine (DNS rebinding); its browser then lets it read what
a server on loopback answers. The browser still sends that name as Host, so a server answers only to names of this
machine and to those that the settings list. Probes and metrics tell nothing of products, and are asked by any address.

Where a token is set, everything but the probes wants it. A page of another site does not know it, so a request that has
it may use any Host.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from pydantic import SecretStr

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from aiohttp import web

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "sightstream",
    "X-Content-Type-Options": "nosniff",
}
PROBES = frozenset({"/healthz", "/readyz"})
METRICS = "/metrics"

_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^\s:\[\]]+))(?::[0-9]{1,5})?")


def is_allowed_host(host: str, allowed: Collection[str] = ()) -> bool:
    """Return whether a Host header, with or without a port, names this machine or one of the `allowed` names."""
    parts = _HOST.fullmatch(host)
    if parts is None:
        return False
    name = (parts["v6"] or parts["name"]).lower().removesuffix(".")
    return name == "localhost" or name in {each.lower() for each in allowed} or _is_loopback(name)


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request gets no answer, as JSON says it."""

    status: HTTPStatus
    error: str
    detail: str

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"} if self.status is HTTPStatus.UNAUTHORIZED else {}

    @property
    def body(self) -> dict[str, str]:
        return {"error": self.error, "detail": self.detail}


_NO_TOKEN = Refusal(HTTPStatus.UNAUTHORIZED, "unauthorized", "send the header Authorization: Bearer with the token")
_UNKNOWN_HOST = Refusal(
    HTTPStatus.MISDIRECTED_REQUEST,
    "unknown_host",
    "ask by a name of this machine, send the token, or add the name to allowed_hosts",
)


@dataclass(frozen=True, slots=True)
class Access:
    """Where a server listens, and whom it answers. `allowed_hosts` are names beside those of this machine."""

    bind: str = LOOPBACK
    token: SecretStr | None = None
    allowed_hosts: tuple[str, ...] = ()

    def refusal(self, path: str, hosts: Sequence[str], authorization: str | None) -> Refusal | None:
        """Return why not to answer a request with these Host headers and this Authorization; None to answer it."""
        if path in PROBES:
            return None
        if self.token is not None:
            return None if _is_bearer(authorization or "", self.token.get_secret_value()) else _NO_TOKEN
        is_allowed = path == METRICS or (len(hosts) == 1 and is_allowed_host(hosts[0], self.allowed_hosts))
        return None if is_allowed else _UNKNOWN_HOST

    def url(self, port: int) -> str:
        """Return the address at which this machine reaches the server."""
        address = ipaddress.ip_address(self.bind)
        if address.is_unspecified:
            address = ipaddress.ip_address(LOOPBACK if address.version == 4 else "::1")
        return f"http://{address}:{port}" if address.version == 4 else f"http://[{address}]:{port}"

    def warn_if_open(self, port: int) -> None:
        """Log a warning if other machines can ask the server, and it wants no token."""
        if self.token is None and not _is_loopback(self.bind):
            text = "anyone who reaches %s, port %d, may read what is served there: set bearer_token, or bind to %s"
            log.warning(text, self.bind, port, LOOPBACK)


LOCAL_ACCESS = Access()


def _is_bearer(authorization: str, token: str) -> bool:
    scheme, _, credentials = authorization.partition(" ")
    sent = credentials.strip().encode("utf-8", "replace")
    return scheme.lower() == "bearer" and hmac.compare_digest(sent, token.encode())


def secure_pages(application: web.Application, access: Access) -> None:
    """Make an aiohttp application refuse what `access` refuses, and add our headers."""
    from aiohttp import web

    @web.middleware
    async def check_access(request: web.Request, handler: Handler) -> web.StreamResponse:
        hosts = request.headers.getall("Host", [])
        refusal = access.refusal(request.path, hosts, request.headers.get("Authorization"))
        if refusal is None:
            return await handler(request)
        return web.json_response(refusal.body, status=refusal.status, headers=refusal.headers)

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(HEADERS)

    application.middlewares.append(check_access)
    application.on_response_prepare.append(add_headers)


def secure_wsgi(application: WSGIApplication, access: Access) -> WSGIApplication:
    """Return the application with our headers on every answer, and without what `access` refuses."""

    def secured(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        hosts = [environ["HTTP_HOST"]] if "HTTP_HOST" in environ else []
        refusal = access.refusal(environ["PATH_INFO"], hosts, environ.get("HTTP_AUTHORIZATION"))
        return (application if refusal is None else _refusing(refusal))(
            environ, lambda status, headers, *error: start_response(status, [*headers, *HEADERS.items()], *error)
        )

    return secured


def _refusing(refusal: Refusal) -> WSGIApplication:
    def refuse(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return answer_json(start_response, refusal.status, refusal.body, refusal.headers)

    return refuse


def answer_json(
    start_response: StartResponse, status: HTTPStatus, body: object, headers: dict[str, str] | None = None
) -> Iterable[bytes]:
    """Answer a WSGI request with a JSON document."""
    all_headers = {"Content-Type": "application/json"} | (headers or {})
    start_response(f"{status.value} {status.phrase}", list(all_headers.items()))
    return [json.dumps(body).encode()]
