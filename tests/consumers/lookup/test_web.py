"""The pages, read over a real socket by the client that the command uses."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from sightstream.consumers.http_security import HEADERS, LOCAL_ACCESS, Access
from sightstream.consumers.lookup.client import LookupUnavailable, NewestResult, ask
from sightstream.consumers.lookup.errors import LookupFailure
from sightstream.consumers.lookup.web import Pages, serve_pages
from tests.schemas.wire.strategies import identifiers

T = TypeVar("T")


class Table:
    """A table that is a dictionary."""

    def __init__(self, entries: dict[str, bytes], why: str | None = None, elsewhere: bytes = b"") -> None:
        self._entries = {name.encode(): value for name, value in entries.items()}
        self._why = why
        self._elsewhere = elsewhere

    def why_not_ready(self, key: bytes | None = None) -> str | None:
        return "held by another" if key is not None and key == self._elsewhere else self._why

    def get(self, key: bytes) -> bytes | None:
        return self._entries.get(key)


def with_pages(table: Table | Pages, do: Callable[[str], T], access: Access = LOCAL_ACCESS) -> T:
    """`do` in a thread, given the address."""
    pages = table if isinstance(table, Pages) else Pages(table, access)

    async def run() -> T:
        async with serve_pages(pages, 0) as address:
            return await asyncio.to_thread(do, address)

    return asyncio.run(run())


def get(address: str, path: str, host: str | None = None, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    server = urlsplit(address)
    connection = http.client.HTTPConnection(server.hostname or "", server.port)
    connection.request(method, path, headers={"Host": host} if host else {})
    response = connection.getresponse()
    return response.status, dict(response.getheaders()), response.read()


def test_a_known_product() -> None:
    status, headers, body = with_pages(Table({"p": b'{"a": 1}'}), lambda at: get(at, "/products/p"))
    assert (status, headers["Content-Type"], body) == (200, "application/json", b'{"a": 1}')


def test_an_unknown_product() -> None:
    status, _, body = with_pages(Table({}), lambda at: get(at, "/products/p"))
    assert (status, json.loads(body)["error"]) == (404, "unknown_product")


def test_not_ready() -> None:
    status, headers, body = with_pages(Table({"p": b"{}"}, why="recovering"), lambda at: get(at, "/products/p"))
    assert (status, headers["Retry-After"], json.loads(body)["detail"]) == (503, "1", "recovering")


def test_a_table_that_recovers_is_alive_and_not_ready() -> None:
    table = Table({}, why="recovering")
    status, _, body = with_pages(table, lambda at: get(at, "/readyz"))
    assert (status, json.loads(body)) == (503, {"ok": False, "checks": {"table": "recovering"}})
    assert with_pages(table, lambda at: get(at, "/healthz")[0]) == 200


def test_a_product_held_elsewhere_is_never_called_unknown() -> None:
    table = Table({}, elsewhere=b"p")
    assert with_pages(table, lambda at: get(at, "/products/p")[0]) == 503
    assert with_pages(table, lambda at: get(at, "/readyz")[0]) == 200


def test_metrics() -> None:
    status, _, body = with_pages(Table({}), lambda at: get(at, "/metrics"))
    assert status == 200
    assert b"sightstream_lookup_requests_total" in body


@pytest.mark.parametrize("path", ["/table/", "/router/", "/graph", "/", "/products/", "/products"])
def test_nothing_else_is_serve_pages(path: str) -> None:
    assert with_pages(Table({}), lambda at: get(at, path)[0]) == 404


@settings(max_examples=40, deadline=None)
@given(st.lists(identifiers | st.sampled_from([".", "..", "a/b", "a/../b", "%2F", "?", "#", "//", "p "]), max_size=5))
def test_every_product_id_is_found_under_its_own_name(names: list[str]) -> None:
    entries = {name: json.dumps({"name": name}).encode() for name in names}
    found = with_pages(Table(entries), lambda at: {name: ask(at, name) for name in names})
    assert {name: entry and entry.document["name"] for name, entry in found.items()} == {name: name for name in names}


def test_the_client_says_what_is_wrong() -> None:
    assert with_pages(Table({}), lambda at: ask(at, "p")) is None
    with pytest.raises(LookupUnavailable, match="recovering"):
        with_pages(Table({}, why="recovering"), lambda at: ask(at, "p"))
    with pytest.raises(LookupUnavailable, match="lookup --serve"):
        ask("http://127.0.0.1:1", "p")


def test_a_foreign_host_reads_no_result() -> None:
    def ask_all(address: str) -> list[int]:
        hosts = ("evil.example:6066", "localhost:1", "Shop.example", "a.shop.example")
        return [get(address, "/products/p", host)[0] for host in hosts]

    table = Table({"p": b"{}"})
    access = Access(allowed_hosts=("shop.example",))
    assert with_pages(table, ask_all, access) == [421, 200, 200, 421]


def test_a_token_opens_all_and_without_it_only_the_probes_answer() -> None:
    paths = ("/products/p", "/metrics", "/healthz", "/readyz")
    token = SecretStr("open-sesame")

    def ask_all(address: str) -> list[int]:
        return [get(address, path)[0] for path in paths]

    def ask_with_it(address: str) -> object:
        with pytest.raises(LookupUnavailable, match="bearer_token"):
            ask(address, "p")
        return ask(address, "p", token)

    table = Table({"p": b"{}"})
    assert with_pages(table, ask_all, Access(token=token)) == [401, 401, 200, 200]
    assert with_pages(table, ask_with_it, Access(token=token)) == NewestResult({})


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_probes_and_metrics_take_any_host(path: str) -> None:
    assert with_pages(Table({}), lambda at: get(at, path, "10.0.0.7:6066")[0]) == 200


@pytest.mark.parametrize(
    ("path", "host", "method", "status"),
    [
        ("/products/p", "localhost", "GET", 200),
        ("/products/q", "localhost", "GET", 404),
        ("/nothing", "localhost", "GET", 404),
        ("/products/p", "localhost", "POST", 405),
        ("/products/p", "evil.example", "GET", 421),
        ("/metrics", "localhost", "GET", 200),
    ],
)
def test_every_answer_has_the_headers(path: str, host: str, method: str, status: int) -> None:
    found, headers, _ = with_pages(Table({"p": b"{}"}), lambda at: get(at, path, host, method))
    assert found == status
    assert HEADERS.items() <= headers.items()


def test_a_taken_port_is_an_error_that_names_it() -> None:
    async def serve(port: int) -> None:
        async with serve_pages(Pages(Table({})), port):
            pass

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(LookupFailure, match=str(port)):
            asyncio.run(serve(port))
