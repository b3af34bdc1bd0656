"""Serves /metrics, /healthz, /readyz and /status of this process, on loopback unless the settings say otherwise."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from socketserver import TCPServer
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import REGISTRY, CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from sightstream.consumers.http_security import LOCAL_ACCESS, METRICS, Access, answer_json, secure_wsgi
from sightstream.consumers.probes import ANSWERING, Health, probe_status, summary

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


class _Handler(WSGIRequestHandler):
    """One request on a thread of its own, which ends if the client says nothing for `timeout` seconds."""

    timeout = 10

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


class _Server(ThreadingWSGIServer):
    def server_bind(self) -> None:
        """Bind without asking DNS for a name of the address, which may block."""
        TCPServer.server_bind(self)
        host, self.server_port = self.server_address[:2]
        self.server_name = str(host)
        self.setup_environ()


class _IPv6Server(_Server):
    address_family = socket.AF_INET6


class MetricsPortInUse(OSError):
    """Another process listens on the port for metrics."""


@contextmanager
def serve_metrics(
    port: int,
    registry: CollectorRegistry = REGISTRY,
    access: Access = LOCAL_ACCESS,
    health: Health = ANSWERING,
) -> Iterator[None]:
    """Serve http://BIND:`port`/metrics and the probes while the block runs, on threads of their own.

    Port 0 serves nothing. Raises MetricsPortInUse.
    """
    if port == 0:
        yield
        return
    kind = _IPv6Server if ":" in access.bind else _Server
    try:
        application = secure_wsgi(_application(registry, health), access)
        server = make_server(access.bind, port, application, kind, _Handler)
    except OSError as error:
        raise MetricsPortInUse(
            f"can't serve metrics on {access.bind}:{port}: {error.strerror}; set another metrics_port or bind"
        ) from None
    access.warn_if_open(port)
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _application(registry: CollectorRegistry, health: Health) -> WSGIApplication:
    metrics: WSGIApplication = make_wsgi_app(registry)

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path, is_get = environ["PATH_INFO"], environ["REQUEST_METHOD"] in ("GET", "HEAD")
        if path == METRICS:
            return metrics(environ, start_response)
        document = _document(path, health) if is_get else None
        if document is None:
            status = HTTPStatus.NOT_FOUND if is_get else HTTPStatus.METHOD_NOT_ALLOWED
            return answer_json(start_response, status, {"error": status.phrase.lower().replace(" ", "_")})
        return answer_json(start_response, *document)

    return answer


def _document(path: str, health: Health) -> tuple[HTTPStatus, dict[str, object]] | None:
    """Return the status and the JSON document that a path is answered with."""
    match path:
        case "/healthz":
            checks = health.alive()
        case "/readyz":
            checks = health.ready()
        case "/status":
            return HTTPStatus.OK, {
                "healthz": summary(health.alive()),
                "readyz": summary(health.ready()),
                **health.status(),
            }
        case _:
            return None
    return probe_status(checks), summary(checks)
