"""A network of the test's own: the production settings judge it, and every public address leads to a hostile server."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sightstream.pipeline.fetch.dial import Network
from sightstream.pipeline.fetch.fetcher import Fetcher
from sightstream.pipeline.fetch.http import HttpSource
from sightstream.pipeline.fetch.retries import Retries
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.types import FetchedImage, NotModified
from sightstream.schemas.wire.request import ImageRef
from tests.pipeline.fetch.hostile_server import HostileServer

CERTIFICATES = Path(__file__).parent / "certificates"
SHOP = "93.184.216.34"
OTHER = "93.184.216.35"
SETTINGS = FetchSettings(max_bytes=10_000, connect_timeout_s=10, total_timeout_s=10, max_retries=0, dns_cache_s=0)
SHORT_S = 0.3  # for what is to end by the time limit


@dataclass
class Hand:
    """A clock that only this moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Names:
    """DNS. What is no name is read as the system reads it."""

    known: dict[str, list[str]] = field(
        default_factory=lambda: {"shop.example": [SHOP], "inside.example": ["10.0.0.7"], "mixed.example": [SHOP, "::1"]}
    )

    def __call__(self, host: str, port: int, **options: Any) -> list[tuple[Any, ...]]:
        if host not in self.known:
            return list(socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST, **options))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.known[host]]


@dataclass
class Wire:
    """Leads public addresses to the server; every other one has nobody who listens. `dialled` keeps them all."""

    server: HostileServer
    names: Names = field(default_factory=Names)
    dead: set[str] = field(default_factory=set)
    dialled: list[tuple[str, int]] = field(default_factory=list)

    def connect(self, address: tuple[str, int], timeout: float) -> socket.socket:
        self.dialled.append(address)
        if address[0] not in (SHOP, OTHER) or address[0] in self.dead:
            raise ConnectionRefusedError
        return socket.create_connection(("127.0.0.1", self.server.port), timeout)

    def network(self) -> Network:
        tls = ssl.create_default_context(cafile=CERTIFICATES / "ca.pem")
        return Network(self.names, self.connect, tls)


@pytest.fixture(scope="session")
def shared_server() -> Iterator[HostileServer]:
    with HostileServer() as server:
        yield server


@pytest.fixture
def server() -> Iterator[HostileServer]:
    """One that nobody else asks."""
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


def http_fetcher(wire: Wire, retries: Retries | None = None, **changes: Any) -> Fetcher:
    settings = SETTINGS.model_copy(update=changes)
    source = HttpSource(settings, network=wire.network())
    return Fetcher({"http": source, "https": source}, settings, retries=retries)


def get(fetcher: Fetcher, uri: str, known_etag: str | None = None) -> bytes:
    found = fetcher.fetch(ImageRef(uri=uri), known_etag)
    assert not isinstance(found, NotModified)
    return found.data


def image_of(found: FetchedImage | NotModified) -> FetchedImage:
    assert isinstance(found, FetchedImage)
    return found
