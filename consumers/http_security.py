"""What all our HTTP servers share: the hosts that they answer to, and the headers on every answer.

A page of a hostile site can make its own name lead to this machine (DNS rebinding); its browser then lets it read what
a server on loopback answers. The browser still sends that name as Host, so a server answers only to names of this
machine and to those that the settings list. Probes and metrics tell nothing of products, and are asked by any address.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable, Collection, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from aiohttp import web

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "sightstream",
    "X-Content-Type-Options": "nosniff",
}
OPEN_PATHS = frozenset({"/healthz", "/metrics"})

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


def secure_pages(application: web.Application, allowed: Collection[str] = ()) -> None:
    """Make an aiohttp application refuse foreign hosts with 421, except on open paths, and add our headers."""
    from aiohttp import web

    @web.middleware
    async def check_host(request: web.Request, handler: Handler) -> web.StreamResponse:
        hosts = request.headers.getall("Host", [])
        if request.path in OPEN_PATHS or (len(hosts) == 1 and is_allowed_host(hosts[0], allowed)):
            return await handler(request)
        problem = {"error": "unknown_host", "detail": "ask by a name of this machine, or add the name to allowed_hosts"}
        return web.json_response(problem, status=HTTPStatus.MISDIRECTED_REQUEST)

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(HEADERS)

    application.middlewares.append(check_host)
    application.on_response_prepare.append(add_headers)


def secure_metrics(application: WSGIApplication) -> WSGIApplication:
    """Return the application with our headers on every answer. It answers to any host."""

    def secured(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return application(
            environ, lambda status, headers, *error: start_response(status, [*headers, *HEADERS.items()], *error)
        )

    return secured
