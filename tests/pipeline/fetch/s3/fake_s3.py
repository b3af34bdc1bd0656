"""A fake S3 store with its STS, whose answers each test decides. Keeps the requests that it got."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

BODY = b"\xff\xd8\xffimage"
_DATED = (("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT"),)
CANARY = "canary-in-the-message"
ETAG = '"9a0364b9e99bb480dd25e1f0284c8555"'
_ROLE = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASSUMED</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>assumed-token</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class FakeS3:
    """A store whose `answer` gets the handler and the request, and answers."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    answer: Callable[[Any, Request], None] = lambda handler, request: good(handler)


def good(handler: Any, body: bytes = BODY, etag: str = ETAG) -> None:
    _reply(handler, 200, body, ("ETag", etag), ("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT"))


def error(status: int, code: str, *headers: tuple[str, str], more: str = "") -> Callable[[Any, Request], None]:
    """Answer with an error as S3 does; its message holds a canary that must not leak."""
    text = f"<?xml version='1.0'?>\n<Error><Code>{code}</Code><Message>{CANARY}</Message>{more}</Error>" if code else ""
    return lambda handler, request: _reply(handler, status, text.encode(), *headers)


def short(handler: Any, request: Request) -> None:
    _reply(handler, 200, BODY, ("Content-Length", "500"))
    handler.close_connection = True


def hang(handler: Any, request: Request) -> None:
    time.sleep(1)
    handler.close_connection = True


def trickle(handler: Any, request: Request) -> None:
    _reply(handler, 200, b"", ("Content-Length", "5000"))
    for _ in range(400):
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.05)


def slow_head(handler: Any, request: Request) -> None:
    """Send a header without an end: each wait for bytes is short, and the answer never comes."""
    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 400:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        time.sleep(0.05)


def endless(handler: Any, request: Request) -> None:
    """Announce a small body, and send chunks for ever."""
    _head(handler, 200, ("Content-Length", "5"), ("Transfer-Encoding", "chunked"))
    while True:
        handler.wfile.write(b"400\r\n" + bytes(1024) + b"\r\n")


def redirect(location: str) -> Callable[[Any, Request], None]:
    return lambda handler, request: _reply(handler, 302, b"", ("Location", location))


def with_headers(status: int, *headers: tuple[str, str]) -> Callable[[Any, Request], None]:
    return lambda handler, request: _reply(handler, status, BODY, *_DATED, *headers)


def no_length(handler: Any, request: Request) -> None:
    _head(handler, 200)
    handler.wfile.write(BODY)
    handler.close_connection = True


def nested_error(handler: Any, request: Request) -> None:
    _reply(handler, 400, b"<Error>" + b"<a>" * 20_000)


def in_another_region(handler: Any, request: Request) -> None:
    """Answer only requests that are signed for eu-west-1."""
    if "/eu-west-1/s3/" in request.headers.get("authorization", ""):
        good(handler)
    else:
        error(301, "PermanentRedirect", ("x-amz-bucket-region", "eu-west-1"))(handler, request)


def known_key(key_id: str) -> Callable[[Any, Request], None]:
    """Accept only requests that are signed with this key."""

    def answer(handler: Any, request: Request) -> None:
        signed = f"Credential={key_id}/" in request.headers.get("authorization", "")
        good(handler) if signed else error(403, "InvalidAccessKeyId")(handler, request)

    return answer


class _QuietServer(ThreadingHTTPServer):
    """Prints nothing about clients that hang up: the tests make them do so."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@contextmanager
def running() -> Iterator[FakeS3]:
    """Run a fake store on loopback."""
    store = FakeS3()
    server = _QuietServer(("127.0.0.1", 0), _handler(store))
    store.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()


def _handler(store: FakeS3) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            request = Request(self.command, self.path, headers, body)
            store.requests.append(request)
            try:
                if b"Action=AssumeRole" in body:
                    _reply(self, 200, _ROLE.encode(), ("Content-Type", "text/xml"))
                else:
                    store.answer(self, request)
                self.wfile.flush()
            except OSError:
                self.close_connection = True

        do_HEAD = do_POST = do_GET

    return Handler


def _head(handler: Any, status: int, *headers: tuple[str, str]) -> None:
    handler.send_response(status)
    for name, value in (*_DATED, *headers):
        handler.send_header(name, value)
    handler.end_headers()


def _reply(handler: Any, status: int, body: bytes, *headers: tuple[str, str]) -> None:
    handler.send_response(status)
    given = {name.lower() for name, _ in headers}
    for name, value in headers:
        handler.send_header(name, value)
    if "content-length" not in given:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)
