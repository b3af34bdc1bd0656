"""A network of the test's own: production settings apply, and every public address leads to a hostile server."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sightstream.pipeline.fetch.fetcher import Fetcher
from sightstream.pipeline.fetch.http.client import Network
from sightstream.pipeline.fetch.http.source import HttpSource
from sightstream.pipeline.fetch.retry_policy import RetryPolicy
from sightstream.pipeline.fetch.settings import FetchSettings
from tests.pipeline.fetch.http.hostile_server import HostileServer

CERTIFICATES = Path(__file__).parent / "certificates"
SHOP = "93.184.216.34"
OTHER = "93.184.216.35"
SETTINGS = FetchSettings(max_bytes=10_000, connect_timeout_s=10, total_timeout_s=10, max_retries=0, dns_cache_s=0)
SHORT_S = 0.3  # for a fetch that must end by its deadline


@dataclass
class FakeDns:
    """DNS with names of the test's own. Anything else is read as the system reads an address."""

    known: dict[str, list[str]] = field(
        default_factory=lambda: {"shop.example": [SHOP], "inside.example": ["10.0.0.7"], "mixed.example": [SHOP, "::1"]}
    )

    def __call__(self, host: str, port: int, **options: Any) -> list[tuple[Any, ...]]:
        if host not in self.known:
            return list(socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST, **options))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.known[host]]


@dataclass
class FakeNetwork:
    """Leads public addresses to the server; any other one refuses the connection. `connected_to` keeps them all."""

    server: HostileServer
    names: FakeDns = field(default_factory=FakeDns)
    dead: set[str] = field(default_factory=set)
    connected_to: list[tuple[str, int]] = field(default_factory=list)

    def connect(self, address: tuple[str, int], timeout: float) -> socket.socket:
        self.connected_to.append(address)
        if address[0] not in (SHOP, OTHER) or address[0] in self.dead:
            raise ConnectionRefusedError
        return socket.create_connection(("127.0.0.1", self.server.port), timeout)

    def network(self) -> Network:
        tls = ssl.create_default_context(cafile=CERTIFICATES / "ca.pem")
        return Network(self.names, self.connect, tls)


@pytest.fixture(scope="session")
def shared_server() -> Iterator[HostileServer]:
    """A server for all tests."""
    with HostileServer() as server:
        yield server


@pytest.fixture
def server() -> Iterator[HostileServer]:
    """A server for one test alone."""
    with HostileServer() as started:
        yield started


@pytest.fixture
def tls_server() -> Iterator[Callable[[str], HostileServer]]:
    """`tls_server("shop")` shows certificates/shop.pem."""
    running: list[HostileServer] = []

    def start(certificate: str) -> HostileServer:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATES / f"{certificate}.pem")
        running.append(HostileServer(context).__enter__())
        return running[-1]

    yield start
    for server in running:
        server.__exit__()


def http_fetcher(network: FakeNetwork, retry_policy: RetryPolicy | None = None, **changes: Any) -> Fetcher:
    """Return a fetcher whose HTTP goes over `network`."""
    settings = SETTINGS.model_copy(update=changes)
    source = HttpSource(settings, network=network.network())
    return Fetcher({"http": source, "https": source}, settings, retry_policy=retry_policy)
