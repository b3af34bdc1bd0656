"""Answers lookups over HTTP, on loopback unless the settings say otherwise.

GET /products/{product_id}   200 with the newest result; 404 no result is known, with the newest dead letter where there
                             is one; 503 try again, the table is not ready
GET /healthz                 200 while the process answers
GET /readyz                  200 ready, 503 not ready
GET /metrics                 for Prometheus

421 is answered to a Host that is neither this machine nor listed, but not to the last three. With a token, 401 is
answered to a request without it, but not to the probes.

Every body is JSON except that of /metrics. The product's id is percent-encoded in the path, a slash in it included.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Protocol

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from sightstream.consumers import metrics
from sightstream.consumers.http_security import LOCAL_ACCESS, Access, secure_pages
from sightstream.consumers.lookup.dead_letters import DeadLetters
from sightstream.consumers.lookup.errors import LookupFailure
from sightstream.consumers.probes import Check, probe_status, summary
from sightstream.schemas.wire.topics import record_key


class ResultTable(Protocol):
    """The table behind the pages. `why_not_ready` is None when the table answers for this key."""

    def why_not_ready(self, key: bytes | None = None) -> str | None: ...
    def get(self, key: bytes) -> bytes | None: ...


class Pages:
    """The HTTP handlers. `access` says where they are served, and to whom."""

    def __init__(
        self, table: ResultTable, access: Access = LOCAL_ACCESS, dead_letters: DeadLetters | None = None
    ) -> None:
        self._table, self._dead_letters = table, dead_letters or DeadLetters()
        self.access = access

    def application(self) -> web.Application:
        application = web.Application()
        secure_pages(application, self.access)
        application.router.add_get("/products/{product_id:.+}", self.product)
        application.router.add_get("/healthz", self.alive)
        application.router.add_get("/readyz", self.ready)
        application.router.add_get("/metrics", self.metrics)
        return application

    async def product(self, request: web.Request) -> web.Response:
        response = self._product(request.match_info["product_id"])
        metrics.LOOKUP_REQUESTS.labels(str(response.status)).inc()
        return response

    def _product(self, product_id: str) -> web.Response:
        try:
            key = record_key(product_id)
        except UnicodeEncodeError:
            return _error(404, "unknown_product", "no product has such an id")
        why = self._table.why_not_ready(key)
        if why is not None:
            return _not_ready(why)
        entry = self._table.get(key)
        if entry is None:
            return self._without_result(key)
        return web.Response(body=entry, content_type="application/json")

    def _without_result(self, key: bytes) -> web.Response:
        letter = self._dead_letters.get(key)
        if letter is None:
            return _error(404, "unknown_product", "no result of this product is known")
        why = f"no result of this product is known: its request became a dead letter ({letter.reason})"
        return web.json_response({"error": "dead_letter", "detail": why, "dead_letter": asdict(letter)}, status=404)

    async def alive(self, request: web.Request) -> web.Response:
        """Answer from within the loop that also drives the table; a table that can't go on ends the process."""
        return _probed(Check("loop"))

    async def ready(self, request: web.Request) -> web.Response:
        return _probed(Check("table", self._table.why_not_ready()))

    async def metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _probed(check: Check) -> web.Response:
    return web.json_response(summary([check]), status=probe_status([check]))


def _not_ready(why: str) -> web.Response:
    response = _error(503, "not_ready", why)
    response.headers["Retry-After"] = "1"
    return response


def _error(status: int, name: str, detail: str) -> web.Response:
    return web.json_response({"error": name, "detail": detail}, status=status)


@asynccontextmanager
async def serve_pages(pages: Pages, port: int) -> AsyncIterator[str]:
    """Serve while the block runs and yield the address; `port` 0 picks a free one. Raises LookupFailure."""
    runner = web.AppRunner(pages.application(), access_log=None, shutdown_timeout=2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, pages.access.bind, port)
        try:
            await site.start()
        except OSError as error:
            raise LookupFailure(
                f"can't listen on {pages.access.bind}:{port}: {error.strerror}; set another port or bind"
            ) from None
        pages.access.warn_if_open(runner.addresses[0][1])
        yield pages.access.url(runner.addresses[0][1])
    finally:
        await runner.cleanup()
