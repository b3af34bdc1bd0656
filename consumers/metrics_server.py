"""Serves /metrics of this process on loopback; a scraper elsewhere comes through a proxy that asks who it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY, CollectorRegistry, start_http_server

LOOPBACK = "127.0.0.1"


class MetricsPortTaken(OSError):
    """Another process listens on the port for metrics."""


@contextmanager
def metrics_served(port: int, registry: CollectorRegistry = REGISTRY) -> Iterator[None]:
    """http://127.0.0.1:`port`/metrics while the block runs, from a thread of its own; port 0 serves nothing.

    Raises MetricsPortTaken.
    """
    if port == 0:
        yield
        return
    try:
        server, thread = start_http_server(port, LOOPBACK, registry)
    except OSError as error:
        raise MetricsPortTaken(
            f"can't serve metrics on {LOOPBACK}:{port}: {error.strerror}; name another port"
        ) from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
