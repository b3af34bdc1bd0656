from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.errors import PipelineError, Rejected, Retryable
from pipeline.fetch.fetcher import Fetcher
from pipeline.fetch.http import HttpSource
from pipeline.fetch.settings import FetchSettings
from schemas.dead_letter import Reason
from schemas.request import ImageRef

IMAGE = b"\xff\xd8\xff" + bytes(1000)


class Shop(BaseHTTPRequestHandler):
    """Answers by path, well and badly."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        name = self.path.split("?")[0].strip("/")
        getattr(self, f"answer_{name.split('/')[0]}", self.answer_404)()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        headers.setdefault("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def answer_good(self) -> None:
        self.reply(200, IMAGE)

    def answer_chunked(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(IMAGE), IMAGE))

    def answer_404(self) -> None:
        self.reply(404)

    def answer_403(self) -> None:
        self.reply(403)

    def answer_503(self) -> None:
        self.reply(503)

    def answer_teapot(self) -> None:
        self.reply(418)

    def answer_hop(self) -> None:
        self.reply(302, Location="/good")

    def answer_loop(self) -> None:
        self.reply(302, Location="/loop")

    def answer_inside(self) -> None:
        self.reply(302, Location="http://169.254.169.254/latest")

    def answer_file(self) -> None:
        self.reply(302, Location="file:///etc/passwd")

    def answer_big(self) -> None:
        self.reply(200, bytes(20_000))

    def answer_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(bytes(10_000))
        except OSError:
            self.close_connection = True

    def answer_short(self) -> None:
        self.reply(200, IMAGE, **{"Content-Length": "5000"})
        self.close_connection = True

    def answer_slow(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "9000")
        self.end_headers()
        try:
            for _ in range(100):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.1)
        except OSError:
            self.close_connection = True

    def trickle(self, piece: bytes) -> None:
        try:
            for _ in range(100):
                self.wfile.write(piece)
                self.wfile.flush()
                time.sleep(0.1)
        except OSError:
            self.close_connection = True

    def answer_waiting(self) -> None:
        self.trickle(b"HTTP/1.1 100 Continue\r\n\r\n")

    def answer_header(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        self.trickle(b"x")

    def answer_extension(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;")
        self.trickle(b"x")

    def answer_unmeasured(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        self.trickle(b"x")

    def answer_gzip(self) -> None:
        self.reply(200, b"\x1f\x8b", Content_Encoding="gzip")

    def answer_query(self) -> None:
        self.reply(200 if self.path.endswith("?sig=a%2Fb&x=1") else 400, IMAGE)


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def fetch(shop: str, path: str, **changes: object) -> bytes:
    settings = FetchSettings(
        max_bytes=10_000,
        total_timeout_s=1,
        allow_private_addresses=True,
        allowed_ports=(int(shop.split(":")[1]), 80),
    ).model_copy(update=changes)
    uri = path if "://" in path else f"http://{shop}/{path}"
    return Fetcher({"http": HttpSource(settings)}, settings).fetch(ImageRef(uri=uri)).data


@pytest.mark.parametrize("path", ["good", "hop", "chunked", "query?sig=a%2Fb&x=1"])
def test_an_image_arrives_whole(shop: str, path: str) -> None:
    assert fetch(shop, path) == IMAGE


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing", Reason.IMAGE_NOT_FOUND),
        ("403", Reason.ACCESS_DENIED),
        ("teapot", Reason.FETCH_REFUSED),
        ("loop", Reason.FETCH_REFUSED),
        ("file", Reason.UNSUPPORTED_URI),
        ("big", Reason.IMAGE_TOO_LARGE),
        ("endless", Reason.IMAGE_TOO_LARGE),
        ("gzip", Reason.FETCH_REFUSED),
    ],
)
def test_what_can_never_work_is_rejected(shop: str, path: str, reason: Reason) -> None:
    with pytest.raises(Rejected) as caught:
        fetch(shop, path)
    assert caught.value.reason is reason


@pytest.mark.parametrize("path", ["503", "short", "slow", "waiting", "header", "extension", "unmeasured"])
def test_what_may_pass_is_tried_again(shop: str, path: str) -> None:
    with pytest.raises(Retryable):
        fetch(shop, path)


@pytest.mark.parametrize("path", ["slow", "waiting", "header", "extension", "unmeasured"])
def test_a_server_that_trickles_ends_at_the_total_time(shop: str, path: str) -> None:
    start = time.monotonic()
    with pytest.raises(Retryable):
        fetch(shop, path)
    assert time.monotonic() - start < 5


def test_a_listed_host_that_fails_is_a_dependency(shop: str) -> None:
    for path in ("503", "short", "slow"):
        with pytest.raises(Retryable) as caught:
            fetch(shop, path, allowed_hosts=("127.0.0.1",))
        assert caught.value.dependency == "127.0.0.1"
        with pytest.raises(Retryable) as caught:
            fetch(shop, path)
        assert caught.value.dependency is None


def test_a_closed_port_is_tried_again(shop: str) -> None:
    with pytest.raises(Retryable) as caught:
        fetch(shop, "http://127.0.0.1:1/x", allowed_ports=(1,), allowed_hosts=("127.0.0.1",))
    assert caught.value.dependency == "127.0.0.1"


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1\\@1.1.1.1/",
        "http://user:password@1.1.1.1/",
        "http:///x",
        "http://[::1",
        "http://1.1.1.1:99999/",
        "http://a b/",
    ],
)
def test_an_address_that_two_parsers_read_apart_is_refused(shop: str, uri: str) -> None:
    with pytest.raises(Rejected) as caught:
        fetch(shop, uri)
    assert caught.value.reason is Reason.UNSUPPORTED_URI
    assert "password" not in str(caught.value)


def test_the_defaults_keep_out_of_our_own_network(shop: str) -> None:
    for path, changes in (
        ("good", {"allow_private_addresses": False}),
        ("good", {"allowed_ports": (80, 443)}),
        ("good", {"allowed_hosts": ("shop.example",)}),
    ):
        with pytest.raises(Rejected) as caught:
            fetch(shop, path, **changes)
        assert caught.value.reason is Reason.FORBIDDEN_LOCATION


def test_a_redirect_is_judged_as_the_first_address_was(shop: str) -> None:
    with pytest.raises(PipelineError) as caught:
        fetch(shop, "inside", allowed_hosts=("127.0.0.1",))
    assert isinstance(caught.value, Rejected)
    assert caught.value.reason is Reason.FORBIDDEN_LOCATION
