"""Serves /metrics of this process on loopback; remote scrapers must go through an authenticating proxy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import REGISTRY, CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from sightstream.consumers.http_security import secure_metrics

LOOPBACK = "127.0.0.1"


class _Handler(WSGIRequestHandler):
    """One request on a thread of its own, which ends if the client says nothing for `timeout` seconds."""

    timeout = 10

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


class MetricsPortInUse(OSError):
    """Another process listens on the port for metrics."""


@contextmanager
def serve_metrics(port: int, registry: CollectorRegistry = REGISTRY) -> Iterator[None]:
    """Serve http://127.0.0.1:`port`/metrics while the block runs, on a thread of its own; port 0 serves nothing.

    Raises MetricsPortInUse.
    """
    if port == 0:
        yield
        return
    try:
        application = secure_metrics(make_wsgi_app(registry))
        server = make_server(LOOPBACK, port, application, ThreadingWSGIServer, _Handler)
    except OSError as error:
        raise MetricsPortInUse(
            f"can't serve metrics on {LOOPBACK}:{port}: {error.strerror}; set another metrics_port"
        ) from None
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
