"""The hosts that our HTTP servers answer to, and what browsers are told."""

from __future__ import annotations

import http.client
import socket

import pytest
from prometheus_client import CollectorRegistry

from sightstream.consumers.http_security import HEADERS, is_allowed_host
from sightstream.consumers.metrics_server import serve_metrics


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:6066", "localhost.", "127.0.0.1:6066", "127.8.9.10", "[::1]:6066", "[::1]"]
)
def test_names_of_this_machine_pass(host: str) -> None:
    assert is_allowed_host(host)


@pytest.mark.parametrize(
    "host",
    [
        *("", "evil.example", "evil.example:6066", "localhost.evil.example", "127.0.0.1.evil.example", "0x7f000001"),
        *("127.1", "2130706433", "0.0.0.0", "[::]", "[::1", "::1", "192.168.0.1", "localhost:x", "localhost:6066:1"),
        *("user@localhost", "localhost/", "localhost evil", "\uff1127.0.0.1", "localhost..", "."),
    ],
)
def test_other_names_do_not(host: str) -> None:
    assert not is_allowed_host(host)


def test_a_listed_name_passes_alone() -> None:
    assert is_allowed_host("Lookup.example:443", ["lookup.Example"])
    assert not is_allowed_host("x.lookup.example", ["lookup.example"])


def test_metrics_have_the_headers_and_take_any_host() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with serve_metrics(port, CollectorRegistry()):
        for method in ("GET", "POST"):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request(method, "/metrics", headers={"Host": "10.0.0.7:9308"})
            response = connection.getresponse()
            response.read()
            connection.close()
            assert (method, response.status) in {("GET", 200), ("POST", 405)}
            assert HEADERS.items() <= dict(response.getheaders()).items()
