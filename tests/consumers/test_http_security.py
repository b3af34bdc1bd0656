"""The hosts that our HTTP servers answer to, and what browsers are told."""

from __future__ import annotations

import http.client
import socket

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr, ValidationError

from sightstream.consumers.http_security import HEADERS, LOCAL_ACCESS, Access, is_allowed_host
from sightstream.consumers.metrics_server import serve_metrics
from sightstream.consumers.worker.settings import WorkerSettings


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


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("Bearer open-sesame", None),
        ("bearer  open-sesame", None),
        ("Bearer open-sesam", 401),
        ("Bearer", 401),
        ("Basic open-sesame", 401),
        ("open-sesame", 401),
        ("Bearer \udcff", 401),
    ],
)
def test_a_token_is_wanted_by_name_and_in_whole(authorization: str | None, status: int | None) -> None:
    access = Access(token=SecretStr("open-sesame"))
    for path in ("/metrics", "/status", "/products/p"):
        refusal = access.refusal(path, ["10.0.0.7:6066"], authorization)
        assert (refusal.status if refusal else None) == status
    assert access.refusal("/healthz", [], authorization) is None


def test_status_is_for_this_machine_unless_a_token_is_sent() -> None:
    assert LOCAL_ACCESS.refusal("/status", ["localhost"], None) is None
    for hosts in ([], ["evil.example"], ["localhost", "localhost"]):
        refusal = LOCAL_ACCESS.refusal("/status", hosts, None)
        assert refusal is not None
        assert refusal.status == 421


@pytest.mark.parametrize(
    ("bind", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:9"),
        ("0.0.0.0", "http://127.0.0.1:9"),
        ("10.0.0.7", "http://10.0.0.7:9"),
        ("::", "http://[::1]:9"),
    ],
)
def test_a_server_is_asked_where_it_listens(bind: str, url: str) -> None:
    assert Access(bind).url(9) == url


@pytest.mark.parametrize(
    ("access", "warns"),
    [
        (LOCAL_ACCESS, False),
        (Access("::1"), False),
        (Access("0.0.0.0"), True),
        (Access("0.0.0.0", SecretStr("open-sesame")), False),
    ],
)
def test_a_start_that_others_reach_without_a_token_says_so(
    access: Access, warns: bool, unused_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    with serve_metrics(unused_port, CollectorRegistry(), access):
        pass
    assert ("set bearer_token" in caplog.text) == warns
    assert "open-sesame" not in caplog.text


@pytest.mark.parametrize("bind", ["0.0.0.0", "::1"])
def test_any_address_of_this_machine_can_be_served(bind: str, unused_port: int) -> None:
    access = Access(bind, SecretStr("open-sesame"))
    with serve_metrics(unused_port, CollectorRegistry(), access):
        for token, status in (("open-sesame", 200), ("", 401)):
            assert ask(access.url(unused_port), "/metrics", {"Authorization": f"Bearer {token}"})[0] == status
        assert ask(access.url(unused_port), "/healthz", {"Host": "10.0.0.7"})[0] == 200


@pytest.mark.parametrize("bind", ["", "localhost", "10.0.0.256", "10.0.0.7:80"])
def test_only_an_address_can_be_bound(bind: str) -> None:
    with pytest.raises(ValidationError, match="IP address"):
        WorkerSettings(bind=bind)


@pytest.mark.parametrize("token", ["", " padded", "two\nlines", "na\u00efve"])
def test_a_token_that_no_header_can_hold_is_refused(token: str) -> None:
    with pytest.raises(ValidationError, match="visible ASCII"):
        WorkerSettings(bearer_token=SecretStr(token))


def ask(address: str, path: str, headers: dict[str, str], method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=20)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    assert HEADERS.items() <= dict(response.getheaders()).items()
    return response.status, body


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_metrics_have_the_headers_and_take_any_host(unused_port: int) -> None:
    with serve_metrics(unused_port, CollectorRegistry()):
        for method in ("GET", "POST"):
            status, _ = ask(LOCAL_ACCESS.url(unused_port), "/metrics", {"Host": "10.0.0.7:9308"}, method)
            assert (method, status) in {("GET", 200), ("POST", 405)}
