"""A server over real sockets on loopback that answers by path: properly, or in one of many bad ways."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

IMAGE = b"\xff\xd8\xff" + bytes(range(256)) * 4
_TRICKLE_S = 0.02
_ETAG = '"v1"'


@dataclass(slots=True)
class Exchange:
    """One request on one connection."""

    stream: socket.socket
    head: bytes
    attempt: int  # counts the requests for this path, from 1
    kept: bool = True  # whether the connection serves another request

    def send(self, data: bytes) -> None:
        self.stream.sendall(data)

    def answer(self, body: bytes = b"", status: str = "200 OK", *headers: str, length: bool = True) -> None:
        lines = [f"HTTP/1.1 {status}", *headers, *([f"Content-Length: {len(body)}"] if length else [])]
        self.send("\r\n".join([*lines, "", ""]).encode("utf-8") + body)

    def raw(self, text: str, body: bytes = b"") -> None:
        """Send `text` as it is, then end the connection."""
        self.send(text.replace("\n", "\r\n").encode("utf-8") + body)
        self.kept = False

    def trickle(self, piece: bytes = b"x") -> None:
        """Send until the client gives up."""
        self.kept = False
        while True:
            self.send(piece)
            time.sleep(_TRICKLE_S)

    def flood(self, piece: bytes) -> None:
        self.kept = False
        while True:
            self.send(piece)

    def reset(self) -> None:
        self.kept = False
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def redirect(location: str, status: str = "302 Found") -> Callable[[Exchange], None]:
    return lambda x: x.answer(b"", status, f"Location: {location}")


def status(line: str, *headers: str) -> Callable[[Exchange], None]:
    return lambda x: x.answer(b"", line, *headers)


def image(*headers: str) -> Callable[[Exchange], None]:
    return lambda x: x.answer(IMAGE, "200 OK", *headers)


def raw(text: str, body: bytes = b"") -> Callable[[Exchange], None]:
    return lambda x: x.raw(text, body)


def after(text: str, piece: bytes = b"x") -> Callable[[Exchange], None]:
    """Send `text`, then a byte now and then."""

    def answer(x: Exchange) -> None:
        x.send(text.replace("\n", "\r\n").encode())
        x.trickle(piece)

    return answer


def flood(text: str, piece: bytes) -> Callable[[Exchange], None]:
    def answer(x: Exchange) -> None:
        x.send(text.replace("\n", "\r\n").encode())
        x.flood(piece)

    return answer


def reset_in_the_body(x: Exchange) -> None:
    x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + IMAGE)
    time.sleep(_TRICKLE_S)
    x.reset()


def silence(x: Exchange) -> None:
    x.kept = False
    with contextlib.suppress(OSError):
        x.stream.recv(1)


def flaky(line: str, *headers: str) -> Callable[[Exchange], None]:
    """Answer badly first, then properly."""
    return lambda x: x.answer(IMAGE) if x.attempt > 1 else x.answer(b"", line, *headers)


def with_etag(x: Exchange) -> None:
    """Send an image with an etag, or 304 when the request has that etag."""
    if f"If-None-Match: {_ETAG}".encode() in x.head:
        x.answer(b"", "304 Not Modified", f"ETag: {_ETAG}", length=False)
    else:
        x.answer(IMAGE, "200 OK", f"ETag: {_ETAG}")


def hang_up(x: Exchange) -> None:
    """Answer the first request of a path; read the second and hang up."""
    if x.attempt == 2:
        x.kept = False
    else:
        x.answer(IMAGE)


def good_bye(x: Exchange) -> None:
    """Promise to keep the connection, and end it."""
    x.answer(IMAGE)
    x.kept = False


def echo(x: Exchange) -> None:
    x.answer(IMAGE if x.head.startswith(b"GET /echo?sig=a%2Fb&x=%C3%BC%20+ HTTP/1.1\r\n") else b"")


CHUNKED = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n"
WHOLE = f"HTTP/1.1 200 OK\nContent-Length: {len(IMAGE)}\n"
EARLY_HINTS = "HTTP/1.1 103 Early Hints\nLink: </a.css>; rel=preload\n\n"


def chunks(size: int, count: int, end: bytes = b"0\r\n\r\n") -> bytes:
    return (b"%x\r\n%s\r\n" % (size, b"x" * size)) * count + end


def lines(count: int) -> str:
    return "X: y\n" * count


ANSWERS: dict[str, Callable[[Exchange], None]] = {
    "good": image(),
    "echo": echo,
    "typed": image("Content-Type: Image/JPEG; x=y"),
    "octets": image("Content-Type: application/octet-stream"),
    "plain": image("Content-Type: text/plain; charset=utf-8"),
    "one-zero": raw("HTTP/1.0 200 OK\n\n", IMAGE),
    "chunked": raw(CHUNKED, b"%x;name=value\r\n%s\r\n0\r\nTrailer: x\r\n\r\n" % (len(IMAGE), IMAGE)),
    "early-hints": raw(EARLY_HINTS + WHOLE + "\n", IMAGE),
    "interim-close": raw("HTTP/1.1 103 Early Hints\nConnection: close\n\n" + WHOLE + "\n", IMAGE),
    "interim-8": raw("HTTP/1.1 102 Processing\n\n" * 4 + EARLY_HINTS * 4 + WHOLE + "\n", IMAGE),
    "blanks": raw(f"HTTP/1.1 200 OK\nContent-Type:\timage/jpeg \nContent-Length: \t{len(IMAGE)} \t\n\n", IMAGE),
    "no-reason": raw(WHOLE.replace(" OK", "") + "\n", IMAGE),
    "chunk-extension": raw(CHUNKED, b'%x;a="b;c"\r\n%s\r\n0\r\n\r\n' % (len(IMAGE), IMAGE)),
    "trailers-100": raw(CHUNKED, b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(IMAGE), IMAGE, b"X: y\r\n" * 100)),
    "headers-100": raw(WHOLE + lines(99) + "\n", IMAGE),
    "identity": image("Content-Encoding: identity"),
    "aws-chunked": image("Content-Encoding: aws-chunked"),
    "no-coding": image("Content-Encoding:"),
    "long": raw(f"HTTP/1.1 200 OK\nContent-Length: {len(IMAGE)}\n\n", IMAGE + b"HTTP/1.1 200 OK\r\n"),
    # redirects
    "hop": redirect("/good"),
    "hop-relative": redirect("good", "307 Temporary Redirect"),
    "hop-host": redirect("//shop.example/good", "308 Permanent Redirect"),
    "hop-etag": redirect("/etag", "303 See Other"),
    "hop-slow": after("HTTP/1.1 302 Found\nLocation: ", b"/good"),
    "loop": redirect("/loop"),
    "far": redirect("/hop-3"),
    "hop-3": redirect("/hop-2"),
    "hop-2": redirect("/hop"),
    "private": redirect("http://169.254.169.254/latest/meta-data"),
    "private-name": redirect("http://inside.example/"),
    "loopback": redirect("http://127.0.0.1/"),
    "loopback-6": redirect("http://[::ffff:127.0.0.1]/"),
    "number": redirect("http://2130706433/"),
    "port": redirect("http://shop.example:22/"),
    "user": redirect("http://user:canary@shop.example/good"),
    "file": redirect("file:///etc/passwd"),
    "gopher": redirect("gopher://shop.example/"),
    "backslash": redirect("http://shop.example\\@127.0.0.1/"),
    "broken-location": redirect("http://[::1"),
    "no-location": status("302 Found"),
    "long-location": redirect("/" + "x" * 9000),
    "huge-location": redirect("/" + "x" * 100_000),
    "downgrade": redirect("http://shop.example/good"),
    # time
    "silent": silence,
    "slow-status": after("", b"\r\n"),
    "slow-continue": after("HTTP/1.1 100 Continue\n\n", b""),
    "slow-header": after("HTTP/1.1 200 OK\nX-Slow: "),
    "slow-body": after("HTTP/1.1 200 OK\nContent-Length: 9000\n\n"),
    "slow-unmeasured": after("HTTP/1.1 200 OK\n\n"),
    "slow-chunks": after(CHUNKED, b"1\r\nx\r\n"),
    "slow-extension": after(CHUNKED + "5;"),
    "slow-trailer": after(CHUNKED + "0\n", b"X: y\r\n"),
    # size
    "big": lambda x: x.answer(bytes(20_000)),
    "announced": raw("HTTP/1.1 200 OK\nContent-Length: 999999999999\n\n"),
    "endless": flood("HTTP/1.1 200 OK\n\n", bytes(10_000)),
    "endless-chunks": flood(CHUNKED, b"400\r\n" + bytes(1024) + b"\r\n"),
    "many-headers": flood("HTTP/1.1 200 OK\n", b"X: y\r\n"),
    "huge-header": flood("HTTP/1.1 200 OK\nX: ", b"x" * 10_000),
    "gzip": image("Content-Encoding: gzip"),
    "gzip-coding": raw("HTTP/1.1 200 OK\nTransfer-Encoding: gzip, chunked\n\n", b"\x1f\x8b"),
    "gzip-too": image("Content-Encoding: aws-chunked, GZIP"),
    # work without an image: floods that end where they do not end the client
    "interim-9": raw("HTTP/1.1 100 Continue\n\n" * 9 + WHOLE + "\n", IMAGE),
    "headers-101": raw(WHOLE + lines(100) + "\n", IMAGE),
    "trailers-101": raw(CHUNKED, b"4\r\nabcd\r\n0\r\n" + b"X: y\r\n" * 101 + b"\r\n"),
    "small-chunks": raw(CHUNKED, chunks(1, 5000)),
    "endless-small-chunks": flood(CHUNKED, b"1\r\nx\r\n"),
    "endless-interim": flood("", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "endless-trailer": flood(CHUNKED + "0\n", b"X: y\r\n"),
    "endless-extension": flood(CHUNKED + "5;", b"x" * 10_000),
    # framing that two programs could read apart
    "chunk-underscore": raw(CHUNKED, b"1_0\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n"),
    "chunk-0x": raw(CHUNKED, b"0x10\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n"),
    "chunk-plus": raw(CHUNKED, b"+5\r\nhello\r\n0\r\n\r\n"),
    "chunk-blank": raw(CHUNKED, b" 5\r\nhello\r\n0\r\n\r\n"),
    "chunk-junk": raw(CHUNKED, b"5\r\nhelloXX\r\n0\r\n\r\n"),
    "chunk-no-line-end": raw(CHUNKED, b"5\r\nhello0\r\n\r\n"),
    "chunk-line-feed": raw(CHUNKED, b"5\nhello\n0\n\n"),
    "chunk-extension-return": raw(CHUNKED, b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    "chunk-overflow": raw(CHUNKED, b"1" + b"0" * 16 + b"5\r\nhello\r\n0\r\n\r\n"),
    "trailer-length": raw(CHUNKED, b"5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n"),
    "two-codings": image("Content-Encoding: identity", "Content-Encoding: identity"),
    "two-locations": status("302 Found", "Location: /good", "Location: /good"),
    "two-transfer-codings": raw(CHUNKED[:-1] + "Transfer-Encoding: chunked\n\n", chunks(5, 1)),
    "transfer-identity": raw("HTTP/1.1 200 OK\nTransfer-Encoding: identity\n\n", IMAGE),
    "chunked-one-zero": raw(CHUNKED.replace("1.1", "1.0"), chunks(5, 1)),
    "blank-before-colon": raw(WHOLE.replace("Length:", "Length :") + "\n", IMAGE),
    "nul-in-a-name": raw(WHOLE + "X\0Y: z\n\n", IMAGE),
    "nul-in-a-value": raw(WHOLE + "X: y\0z\n\n", IMAGE),
    "folded": raw(WHOLE + "X: y\n z\n\n", IMAGE),
    "no-colon": raw(WHOLE + "X\n\n", IMAGE),
    "return-in-a-value": raw(WHOLE + "X: y\rz\n\n", IMAGE),
    "line-feeds": lambda x: x.raw("", WHOLE.encode() + b"\n" + IMAGE),
    "twice-the-same": image(f"Content-Length: {len(IMAGE)}"),
    "empty-length": raw("HTTP/1.1 200 OK\nContent-Length:\n\n", IMAGE),
    "length-underscore": raw("HTTP/1.1 200 OK\nContent-Length: 1_0\n\n", IMAGE),
    "length-0x": raw("HTTP/1.1 200 OK\nContent-Length: 0x10\n\n", IMAGE),
    "switching": raw("HTTP/1.1 101 Switching Protocols\nUpgrade: h2c\nConnection: upgrade\n\n" + WHOLE + "\n", IMAGE),
    "version-2": raw(WHOLE.replace("1.1", "2.0") + "\n", IMAGE),
    # lengths
    "short": raw("HTTP/1.1 200 OK\nContent-Length: 5000\n\n", IMAGE),
    "negative": raw("HTTP/1.1 200 OK\nContent-Length: -5\n\n", IMAGE),
    "two-lengths": raw(f"HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: {len(IMAGE)}\n\n", IMAGE),
    "listed-lengths": raw("HTTP/1.1 200 OK\nContent-Length: 5, 6\n\n", IMAGE),
    "signed-length": raw("HTTP/1.1 200 OK\nContent-Length: +5\n\n", IMAGE),
    "length-and-chunks": raw("HTTP/1.1 200 OK\nContent-Length: 5\nTransfer-Encoding: chunked\n\n", b"0\r\n\r\n"),
    "chunk-garbage": raw(CHUNKED, b"zz\r\n" + IMAGE),
    "chunk-negative": raw(CHUNKED, b"-5\r\n" + IMAGE),
    "chunk-short": raw(CHUNKED, b"ffff\r\n" + IMAGE),
    "chunk-end-missing": raw(CHUNKED, b"5\r\nhello"),
    # no HTTP
    "banner": raw("SSH-2.0-OpenSSH_9.2p1 Debian-2\n"),
    "binary": raw("", bytes(range(256)) * 10),
    "no-number": raw("HTTP/1.1 two hundred\n\n"),
    "empty": raw(""),
    "reset": Exchange.reset,
    "reset-in-the-body": reset_in_the_body,
    # what the headers say about the image
    "html": image("Content-Type: text/html; charset=utf-8"),
    "json": image("Content-Type: application/problem+json"),
    "svg": image("Content-Type: image/svg+xml"),
    "pdf": image("content-type: APPLICATION/PDF"),
    "range": raw(f"HTTP/1.1 206 Partial Content\nContent-Range: bytes 0-9/99\nContent-Length: {len(IMAGE)}\n\n", IMAGE),
    "range-200": image("Content-Range: bytes 0-9/99"),
    "206-whole": lambda x: x.answer(IMAGE, "206 Partial Content"),
    "204": status("204 No Content"),
    "304": status("304 Not Modified"),
    "300": status("300 Multiple Choices"),
    "400": status("400 Bad Request"),
    "401": status("401 Unauthorized"),
    "403": status("403 Forbidden"),
    "404": status("404 Not Found"),
    "410": status("410 Gone"),
    "418": status("418 I'm a teapot"),
    "408": status("408 Request Timeout"),
    "425": status("425 Too Early"),
    "429": status("429 Too Many Requests"),
    "500": status("500 Internal Server Error"),
    "503": status("503 Service Unavailable"),
    "wait-1": flaky("503 Service Unavailable", "Retry-After: 1"),
    "wait-100": flaky("503 Service Unavailable", "Retry-After: 100"),
    "flaky": flaky("500 Internal Server Error"),
    "etag": with_etag,
    "weak-etag": image('ETag: W/"v1"'),
    "bad-etag": image('ETag: "v1\t"'),
    "hang-up": hang_up,
    "good-bye": good_bye,
    "says-close": image("Connection: close"),  # and leaves it open
}


@dataclass(slots=True)
class HostileServer:
    """A context manager. `heads` keeps the requests as they came, `connections` counts the connections."""

    tls: ssl.SSLContext | None = None
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0
    _asked: Counter[str] = field(default_factory=Counter)
    _listener: socket.socket = field(init=False)

    def __enter__(self) -> HostileServer:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                stream, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    def _serve(self, stream: socket.socket) -> None:
        with contextlib.suppress(OSError), stream:
            if self.tls is None:
                self._answer_all(stream)
            else:
                with self.tls.wrap_socket(stream, server_side=True) as wrapped:
                    self._answer_all(wrapped)

    def _answer_all(self, stream: socket.socket) -> None:
        kept = True
        while kept and (head := _head(stream)):
            self.heads.append(head)
            name = (re.match(rb"GET /([^ ?]*)", head) or [b"", b""])[1].decode()
            self._asked[name] += 1
            exchange = Exchange(stream, head, self._asked[name])
            ANSWERS.get(name, ANSWERS["404"])(exchange)
            kept = exchange.kept


def _head(stream: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        more = stream.recv(1)
        if not more:
            return b""
        head += more
    return head
