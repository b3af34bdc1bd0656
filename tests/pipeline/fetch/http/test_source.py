"""HTTP against a hostile server over real sockets: SSRF, TLS, redirects, kept connections, etags, retries."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from sightstream.pipeline.errors import PipelineError, Rejected, Retryable
from sightstream.pipeline.fetch.http import connection
from sightstream.pipeline.fetch.retry_policy import RetryPolicy
from sightstream.pipeline.types import NotModified, Origin
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.request import ImageRef
from tests.pipeline.fetch.conftest import get, image_of
from tests.pipeline.fetch.http.conftest import OTHER, SETTINGS, SHOP, SHORT_S, FakeDns, FakeNetwork, http_fetcher
from tests.pipeline.fetch.http.hostile_server import ANSWERS, IMAGE, HostileServer

SLACK_S = 8  # for a machine that does other things; the server itself never ends

ARRIVES = [
    *("good", "echo?sig=a%2Fb&x=ü +", "typed", "octets", "plain", "one-zero", "chunked", "long"),
    *("hop", "hop-relative", "hop-host", "hop-2", "hop-etag", "etag", "weak-etag", "bad-etag"),
    *("early-hints", "interim-close", "interim-8", "blanks", "no-reason", "chunk-extension", "trailers-100"),
    *("headers-100", "identity", "aws-chunked", "no-coding"),
]
UNCLEAR_FRAMING = [
    *("chunk-underscore", "chunk-0x", "chunk-plus", "chunk-blank", "chunk-junk", "chunk-no-line-end"),
    *("chunk-line-feed", "chunk-extension-return", "chunk-overflow", "chunk-garbage", "chunk-negative"),
    *("trailer-length", "two-codings", "two-locations", "two-transfer-codings", "transfer-identity"),
    *("chunked-one-zero", "blank-before-colon", "nul-in-a-name", "nul-in-a-value", "folded", "no-colon"),
    *("return-in-a-value", "line-feeds", "twice-the-same", "empty-length", "length-underscore", "length-0x"),
    *("negative", "two-lengths", "listed-lengths", "signed-length", "length-and-chunks", "gzip-coding"),
    *("switching", "version-2"),
]
COSTLY_FRAMING = {
    "interim-9": "more than 8 interim answers",
    "endless-interim": "more than 8 interim answers",
    "headers-101": "more than 100 headers",
    "many-headers": "more than 100 headers",
    "huge-header": "headers of over 65536 bytes",
    "huge-location": "headers of over 65536 bytes",
    "trailers-101": "more than 100 trailers",
    "endless-trailer": "more than 100 trailers",
    "small-chunks": "chunks of under 64 bytes",
    "endless-small-chunks": "chunks of under 64 bytes",
    "endless-extension": "more framing than body",
}
REJECTED = {
    Reason.FETCH_REFUSED: [
        *("loop", "far", "no-location", "gzip", "gzip-too", "banner", "binary", "no-number"),
        *("range", "range-200", "206-whole", "204", "304", "300", "400", "418"),
        *UNCLEAR_FRAMING,
        *COSTLY_FRAMING,
    ],
    Reason.NOT_AN_IMAGE: ["html", "json", "svg", "pdf"],
    Reason.FORBIDDEN_LOCATION: ["private", "private-name", "loopback", "loopback-6", "port"],
    Reason.UNSUPPORTED_URI: ["number", "user", "file", "gopher", "backslash", "broken-location", "long-location"],
    Reason.IMAGE_TOO_LARGE: ["big", "announced", "endless", "endless-chunks"],
    Reason.ACCESS_DENIED: ["401", "403"],
    Reason.IMAGE_NOT_FOUND: ["404", "410"],
}
RETRIED = [
    *("silent", "slow-status", "slow-continue", "slow-header", "slow-body", "slow-unmeasured", "slow-chunks"),
    *("slow-extension", "slow-trailer", "hop-slow", "short", "chunk-short"),
    *("chunk-end-missing", "empty", "reset", "reset-in-the-body", "408", "425", "429", "500", "503"),
]
TESTED_BELOW = ["wait-1", "wait-100", "flaky", "hang-up", "good-bye", "says-close", "downgrade"]


def failure(shared_server: HostileServer, path: str, **changes: Any) -> PipelineError:
    """Return how the fetch fails: in time, whatever the server does, and with nothing secret in its message."""
    network = FakeNetwork(shared_server)
    limit_s = SHORT_S if "slow" in path or path == "silent" else SETTINGS.total_timeout_s
    start = time.monotonic()
    with pytest.raises(PipelineError) as caught:
        get(http_fetcher(network, total_timeout_s=limit_s, **changes), f"http://shop.example/{path}?token=canary")
    assert time.monotonic() - start < limit_s + SLACK_S
    assert {address for address, _ in network.connected_to} <= {SHOP}
    assert "canary" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("path", ARRIVES)
def test_an_image_arrives_whole(shared_server: HostileServer, path: str) -> None:
    assert get(http_fetcher(FakeNetwork(shared_server)), f"http://shop.example/{path}") == IMAGE


@pytest.mark.parametrize(("reason", "path"), [(reason, path) for reason, paths in REJECTED.items() for path in paths])
def test_a_final_failure_is_rejected(shared_server: HostileServer, reason: Reason, path: str) -> None:
    error = failure(shared_server, path)
    assert isinstance(error, Rejected), error
    assert error.reason is reason, error


@pytest.mark.parametrize("path", COSTLY_FRAMING)
def test_framing_that_costs_more_than_an_image_is_refused_by_name_and_not_tried_again(
    server: HostileServer, path: str
) -> None:
    with pytest.raises(Rejected, match=COSTLY_FRAMING[path]):
        get(http_fetcher(FakeNetwork(server), max_retries=2), f"http://shop.example/{path}")
    assert len(server.heads) == 1


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("gzip", "compressed with gzip"),
        ("gzip-too", "compressed with gzip"),
        ("html", "looks like HTML: the host says that it sent text/html"),
    ],
)
def test_a_refusal_names_what_the_host_sent(server: HostileServer, path: str, said: str) -> None:
    assert said in str(failure(server, path))


@pytest.mark.parametrize("path", RETRIED)
def test_a_failure_that_may_pass_is_retried(shared_server: HostileServer, path: str) -> None:
    error = failure(shared_server, path)
    assert type(error) is Retryable
    assert error.dependency is None
    if path.startswith(("slow", "reset", "5")):
        listed = failure(shared_server, path, allowed_hosts=("shop.example",))
        assert isinstance(listed, Retryable)
        assert listed.dependency == "shop.example"


@pytest.mark.parametrize("path", ["slow-body", "slow-unmeasured", "slow-chunks"])
def test_a_body_that_crawls_gives_its_thread_back_long_before_the_deadline(
    server: HostileServer, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PACE_WINDOW_S", 0.2)
    fetcher = http_fetcher(FakeNetwork(server), total_timeout_s=600, max_retries=2)
    with pytest.raises(Retryable, match="less than 8192 bytes per second"):
        get(fetcher, f"http://shop.example/{path}")
    assert len(server.heads) == 1, "not again within the fetch"


def test_every_answer_of_the_server_is_covered() -> None:
    tried = {*ARRIVES, *RETRIED, *TESTED_BELOW, *(path for paths in REJECTED.values() for path in paths)}
    assert {path.partition("?")[0] for path in tried} | {"hop-3"} == set(ANSWERS)


# --- names and addresses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["inside.example", "mixed.example", "127.0.0.1", "[::1]", "[64:ff9b::7f00:1]"])
def test_a_host_with_a_private_address_is_never_connected_to(server: HostileServer, host: str) -> None:
    network = FakeNetwork(server)
    with pytest.raises(Rejected) as caught:
        get(http_fetcher(network), f"http://{host}/good")
    assert caught.value.reason is Reason.FORBIDDEN_LOCATION
    assert network.connected_to == []


def test_a_name_that_changes_between_check_and_connect_gains_nothing(server: HostileServer) -> None:
    class Rebinding(FakeDns):
        def __call__(self, host: str, port: int, **options: Any) -> list[tuple[Any, ...]]:
            answers = super().__call__(host, port, **options)
            self.known["shop.example"] = ["127.0.0.1"]
            return answers

    network = FakeNetwork(server, Rebinding())
    fetcher = http_fetcher(network)
    assert get(fetcher, "http://shop.example/good") == IMAGE
    assert network.connected_to == [(SHOP, 80)]
    with pytest.raises(Rejected):
        get(fetcher, "http://shop.example/good")
    assert network.connected_to == [(SHOP, 80)]


def test_the_next_address_is_used_when_one_is_dead(server: HostileServer) -> None:
    network = FakeNetwork(server, FakeDns({"shop.example": [OTHER, SHOP]}), dead={OTHER})
    assert get(http_fetcher(network), "http://shop.example/good") == IMAGE
    assert network.connected_to == [(OTHER, 80), (SHOP, 80)]


@pytest.mark.parametrize(
    ("allowed_hosts", "answers_first", "waits"),
    [
        ((), False, False),
        ((), True, True),
        (("*.example",), False, False),
        (("*.example",), True, True),
        (("shop.example",), False, True),
    ],
)
def test_a_name_that_dns_has_lost_is_an_outage_of_a_host_that_is_known(
    server: HostileServer, allowed_hosts: tuple[str, ...], answers_first: bool, waits: bool
) -> None:
    class NoName(FakeDns):
        def __call__(self, host: str, port: int, **options: Any) -> list[tuple[Any, ...]]:
            if host not in self.known:
                raise socket.gaierror(socket.EAI_NONAME, "no such name")
            return super().__call__(host, port, **options)

    network = FakeNetwork(server, NoName())
    fetcher = http_fetcher(network, allowed_hosts=allowed_hosts)
    if answers_first:
        assert get(fetcher, "http://shop.example/good") == IMAGE
    network.names.known.clear()
    with pytest.raises(Retryable if waits else Rejected) as caught:
        get(fetcher, "http://shop.example/good")
    if isinstance(caught.value, Retryable):
        assert caught.value.dependency == ("shop.example" if allowed_hosts else None)


@pytest.mark.parametrize(("allowed_hosts", "waits"), [((), False), (("*.example",), True), (("shop.example",), True)])
def test_a_refusal_of_a_listed_host_may_be_an_outage(
    server: HostileServer, allowed_hosts: tuple[str, ...], waits: bool
) -> None:
    fetcher = http_fetcher(FakeNetwork(server), allowed_hosts=allowed_hosts)
    assert get(fetcher, "http://shop.example/good") == IMAGE
    with pytest.raises(PipelineError) as caught:
        get(fetcher, "http://shop.example/403")
    refusal = caught.value.otherwise if isinstance(caught.value, Retryable) else caught.value
    assert isinstance(refusal, Rejected)
    assert refusal.reason is Reason.ACCESS_DENIED
    assert isinstance(caught.value, Retryable) == waits


def test_an_origins_label_is_the_pattern_that_lists_it(server: HostileServer) -> None:
    fetcher = http_fetcher(FakeNetwork(server), allowed_hosts=("*.cdn.example", "a.cdn.example"))
    hosts = ("a.cdn.example", "b.cdn.example")
    labels = {host: fetcher.origin(ImageRef(uri=f"http://{host}/x")).label for host in hosts}
    assert labels == {"a.cdn.example": "a.cdn.example", "b.cdn.example": "*.cdn.example"}
    assert fetcher.origin(ImageRef(uri="http://else.example/x")) == Origin(
        "else.example", "other", False, "else.example"
    )
    assert not fetcher.origin(ImageRef(uri="http://user@broken/")).is_dependency
    assert not fetcher.origin(ImageRef(uri="gopher://x/")).is_dependency


def test_silent_dns_ends_at_the_deadline(server: HostileServer) -> None:
    end = threading.Event()

    class Silent(FakeDns):
        def __call__(self, host: str, port: int, **options: Any) -> list[tuple[Any, ...]]:
            end.wait(30)
            return []

    start = time.monotonic()
    with pytest.raises(Retryable):
        get(http_fetcher(FakeNetwork(server, Silent()), total_timeout_s=SHORT_S), "http://shop.example/good")
    assert time.monotonic() - start < SHORT_S + SLACK_S
    end.set()


def test_dns_answers_are_cached_for_a_moment(server: HostileServer) -> None:
    network = FakeNetwork(server)
    fetcher = http_fetcher(network, dns_cache_s=60)
    get(fetcher, "http://shop.example/good")
    network.names.known = {"shop.example": ["10.0.0.7"]}
    assert get(fetcher, "http://shop.example/good") == IMAGE


@pytest.mark.parametrize(
    ("changes", "uri"),
    [
        ({"allowed_hosts": ("other.example", "*.shop.example")}, "http://shop.example/good"),
        ({"allowed_hosts": ("*.example.com",)}, "http://shop.example/good"),
        ({"only_listed": True}, "http://shop.example/good"),
        ({"allowed_ports": (443,)}, "http://shop.example/good"),
        ({}, "http://shop.example:81/good"),
    ],
)
def test_hosts_and_ports_that_are_not_listed_are_refused(
    server: HostileServer, changes: dict[str, Any], uri: str
) -> None:
    network = FakeNetwork(server)
    with pytest.raises(Rejected) as caught:
        get(http_fetcher(network, **changes), uri)
    assert caught.value.reason is Reason.FORBIDDEN_LOCATION
    assert network.connected_to == []


@pytest.mark.parametrize("pattern", ["shop.example", "*.example"])
@pytest.mark.parametrize("uri", ["http://shop.example/good", "HTTP://SHOP.Example./good", "http://shop.example:80/hop"])
def test_a_listed_host_is_allowed_in_any_spelling(server: HostileServer, pattern: str, uri: str) -> None:
    assert get(http_fetcher(FakeNetwork(server), allowed_hosts=(pattern,), only_listed=True), uri) == IMAGE
    assert b"\r\nHost: shop.example\r\n" in server.heads[0]


# --- TLS --------------------------------------------------------------------------------------------------------


def test_tls_with_the_name_of_the_host(tls_server: Callable[[str], HostileServer]) -> None:
    server = tls_server("shop")
    fetcher = http_fetcher(FakeNetwork(server))
    assert get(fetcher, "https://shop.example/good") == get(fetcher, "https://SHOP.example/good") == IMAGE
    assert server.connections == 1


@pytest.mark.parametrize(
    ("certificate", "host"), [("shop", "wrong.example"), ("self_signed", "shop.example"), ("expired", "shop.example")]
)
def test_a_certificate_that_is_not_valid(
    tls_server: Callable[[str], HostileServer], certificate: str, host: str
) -> None:
    server = tls_server(certificate)
    network = FakeNetwork(server, FakeDns({host: [SHOP]}))
    with pytest.raises(Rejected) as caught:
        get(http_fetcher(network), f"https://{host}/good")
    assert caught.value.reason is Reason.FETCH_REFUSED
    with pytest.raises(Retryable) as relied:  # an operator has to fix it, and no request may be lost
        get(http_fetcher(network, allowed_hosts=(host,)), f"https://{host}/good")
    assert relied.value.dependency == host
    assert server.heads == []


def test_a_redirect_to_plain_http_is_refused_unless_allowed(tls_server: Callable[[str], HostileServer]) -> None:
    network = FakeNetwork(tls_server("shop"))
    with pytest.raises(Rejected) as caught:
        get(http_fetcher(network), "https://shop.example/downgrade")
    assert caught.value.reason is Reason.FETCH_REFUSED
    assert [port for _, port in network.connected_to] == [443]
    with pytest.raises(Retryable):  # followed, to a server that speaks TLS there, too
        get(http_fetcher(network, allow_downgrade=True), "https://shop.example/downgrade")
    assert [port for _, port in network.connected_to][-1] == 80


# --- connections ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["good", "hop", "etag", "identity"])
def test_a_connection_is_reused(server: HostileServer, path: str) -> None:
    fetcher = http_fetcher(FakeNetwork(server))
    for _ in range(3):
        assert get(fetcher, f"http://shop.example/{path}") == IMAGE
    assert server.connections == 1


@pytest.mark.parametrize("path", ["good-bye", "says-close", "long", "one-zero", "short", "gzip", "big"])
def test_a_connection_that_ended_or_holds_unread_bytes_is_not_reused(server: HostileServer, path: str) -> None:
    fetcher = http_fetcher(FakeNetwork(server))
    for _ in range(2):
        with contextlib.suppress(PipelineError):
            assert get(fetcher, f"http://shop.example/{path}") == IMAGE
        assert get(fetcher, "http://shop.example/good") == IMAGE
    assert server.connections > 1


def test_a_connection_that_the_host_closed_is_replaced_once(server: HostileServer) -> None:
    fetcher = http_fetcher(FakeNetwork(server))
    for _ in range(3):
        assert get(fetcher, "http://shop.example/hang-up") == IMAGE
    assert server.connections == 2


def test_a_connection_is_never_used_for_another_address(server: HostileServer) -> None:
    network = FakeNetwork(server)
    fetcher = http_fetcher(network)
    get(fetcher, "http://shop.example/good")
    network.names.known["shop.example"] = [OTHER]
    get(fetcher, "http://shop.example/good")
    network.names.known["other.example"] = [OTHER]
    get(fetcher, "http://other.example/good")
    assert network.connected_to == [(SHOP, 80), (OTHER, 80), (OTHER, 80)]


def test_no_connection_is_kept_where_none_may_be(server: HostileServer) -> None:
    fetcher = http_fetcher(FakeNetwork(server), max_idle_connections=0)
    for _ in range(2):
        get(fetcher, "http://shop.example/good")
    assert server.connections == 2


def test_no_proxy_credential_or_cookie_is_used(server: HostileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    get(http_fetcher(FakeNetwork(server)), "http://shop.example/hop")
    for head in server.heads:
        names = {line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:] if line}
        assert names == {b"host", b"accept", b"accept-encoding", b"user-agent"}


# --- etags ------------------------------------------------------------------------------------------------------


def test_an_image_that_is_unchanged_is_not_read_again(server: HostileServer) -> None:
    fetcher, image = http_fetcher(FakeNetwork(server)), ImageRef(uri="http://shop.example/etag")
    etag = image_of(fetcher.fetch(image)).etag
    assert etag == '"v1"'
    assert isinstance(fetcher.fetch(image, etag), NotModified)
    assert image_of(fetcher.fetch(image, '"v0"')).data == IMAGE
    assert server.connections == 1


@pytest.mark.parametrize("path", ["good", "weak-etag", "bad-etag", "hop-etag"])
def test_only_a_strong_etag_of_the_requested_url_is_returned(shared_server: HostileServer, path: str) -> None:
    fetcher = http_fetcher(FakeNetwork(shared_server))
    assert image_of(fetcher.fetch(ImageRef(uri=f"http://shop.example/{path}"))).etag is None


def test_an_etag_is_sent_to_the_first_url_only(server: HostileServer) -> None:
    fetcher = http_fetcher(FakeNetwork(server))
    assert get(fetcher, "http://shop.example/hop-etag", '"v1"') == IMAGE
    assert [b"If-None-Match" in head for head in server.heads] == [True, False]


@pytest.mark.parametrize("etag", ['W/"v1"', '"a"\r\nX: y', "v1", '"', '"' + "x" * 300 + '"', '"ü"'])
def test_an_odd_etag_is_not_sent(server: HostileServer, etag: str) -> None:
    assert get(http_fetcher(FakeNetwork(server)), "http://shop.example/etag", etag) == IMAGE
    assert b"If-None-Match" not in server.heads[0]


# --- retries within a fetch -------------------------------------------------------------------------------------


def with_retries(server: HostileServer, path: str, **changes: Any) -> tuple[bytes | PipelineError, list[float]]:
    """Return the result of the fetch, and its pauses."""
    changes = {"max_retries": 2, "total_timeout_s": 60, "backoff_s": 0.5, **changes}
    pauses: list[float] = []
    policy = RetryPolicy(SETTINGS.model_copy(update=changes), pauses.append, Random(1))
    try:
        return get(http_fetcher(FakeNetwork(server), policy, **changes), f"http://shop.example/{path}"), pauses
    except PipelineError as error:
        return error, pauses


def test_a_failure_that_passes_is_hidden_by_a_retry(server: HostileServer) -> None:
    found, pauses = with_retries(server, "flaky")
    assert found == IMAGE
    assert len(pauses) == 1
    assert 0 <= pauses[0] <= 0.5


def test_retry_after_is_obeyed_up_to_its_limit(server: HostileServer) -> None:
    found, pauses = with_retries(server, "wait-1")
    assert found == IMAGE
    assert 1 <= pauses[0] <= 1.5
    too_long, pauses = with_retries(server, "wait-100", max_retry_after_s=99)
    assert isinstance(too_long, Retryable)
    assert pauses == []


@pytest.mark.parametrize(("path", "tries"), [("503", 3), ("empty", 3), ("404", 1), ("html", 1)])
def test_retries_stop_at_their_limit(server: HostileServer, path: str, tries: int) -> None:
    failed, pauses = with_retries(server, path)
    assert isinstance(failed, PipelineError)
    assert len(server.heads) == tries == len(pauses) + 1


def test_a_host_that_is_down_is_not_retried_within_a_fetch(server: HostileServer) -> None:
    changes: dict[str, Any] = {"max_retries": 2, "breaker_failures": 4, "total_timeout_s": 60}
    policy = RetryPolicy(SETTINGS.model_copy(update=changes), lambda pause: None, Random(1))
    fetcher = http_fetcher(FakeNetwork(server), policy, **changes)
    asked = []
    for path in ("503", "503", "503", "good", "503"):
        before = len(server.heads)
        with contextlib.suppress(Retryable):
            get(fetcher, f"http://shop.example/{path}")
        asked.append(len(server.heads) - before)
    assert asked == [3, 1, 1, 1, 3]
