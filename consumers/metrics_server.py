"""Serves /metrics of this process on loopback; remote scrapers must go through an authenticating proxy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY, CollectorRegistry, start_http_server

LOOPBACK = "127.0.0.1"


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
        server, thread = start_http_server(port, LOOPBACK, registry)
    except OSError as error:
        raise MetricsPortInUse(
            f"can't serve metrics on {LOOPBACK}:{port}: {error.strerror}; set another metrics_port"
        ) from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
