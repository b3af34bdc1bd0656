"""The bad neighbours: hosts whose bodies crawl, flood or cost work, closed ports, and a proxy that adds latency."""

from __future__ import annotations

import contextlib
import io
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOPBACK = "127.0.0.1"
OTHER_LOOPBACK = "127.0.0.2"  # another host to the worker, on the same machine, as these are
FRAMING_LOOPBACK, BOMB_LOOPBACK = "127.0.0.3", "127.0.0.4"
PIECE_BYTES = 64 * 1024
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FLOODS = [
    (CHUNKED, b"1\r\nx\r\n" * 10_000),
    (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    (CHUNKED + b"0\r\n", b"X: y\r\n" * 10_000),
    (CHUNKED + b"1;", b"x" * PIECE_BYTES),
]
BOMB_SIDE_PX, SCANS = 3000, 2000


@contextmanager
def slow_host() -> Iterator[int]:
    """Answer each request with a body of which one byte comes per second; yield the port."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 100000\r\n\r\n"

    def serve(client: socket.socket) -> None:
        client.recv(PIECE_BYTES)
        client.sendall(head)
        while True:
            time.sleep(1)
            client.sendall(b"x")

    with _listening(serve) as port:
        yield port


@contextmanager
def framing_host() -> Iterator[int]:
    """Answer each request with one of four floods of framing, in turn; yield the port."""
    turns = itertools.cycle(FLOODS)

    def serve(client: socket.socket) -> None:
        client.recv(PIECE_BYTES)
        head, flood = next(turns)
        client.sendall(head)
        while True:
            client.sendall(flood)

    with _listening(serve, FRAMING_LOOPBACK) as port:
        yield port


@contextmanager
def bomb_host() -> Iterator[int]:
    """Answer each request with a JPEG of many scans; yield the port."""
    body = scan_bomb()

    def serve(client: socket.socket) -> None:
        client.recv(PIECE_BYTES)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(body))
        client.sendall(body)

    with _listening(serve, BOMB_LOOPBACK) as port:
        yield port


def scan_bomb() -> bytes:
    """Return a JPEG of SCANS scans in about 100 bytes each: its decoder goes over all its pixels once per scan."""
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (BOMB_SIDE_PX, BOMB_SIDE_PX), "grey").save(out, "JPEG", progressive=True)
    data = out.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * SCANS + data[-2:]


@contextmanager
def far_store(port: int, delay_s: float) -> Iterator[int]:
    """Forward connections to a local port, each request after `delay_s`; yield the proxy's port."""

    def serve(client: socket.socket) -> None:
        with socket.create_connection((LOOPBACK, port)) as server:
            threading.Thread(target=_forward, args=(server, client, 0), daemon=True).start()
            _forward(client, server, delay_s)

    with _listening(serve) as proxy:
        yield proxy


def closed_port() -> int:
    """Return a port at which nobody listens."""
    with socket.create_server((OTHER_LOOPBACK, 0)) as listener:
        return int(listener.getsockname()[1])


def _forward(source: socket.socket, target: socket.socket, delay_s: float) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(PIECE_BYTES):
            time.sleep(delay_s)
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def _listening(serve: Callable[[socket.socket], None], address: str = LOOPBACK) -> Iterator[int]:
    def serve_one(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            serve(client)

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=serve_one, args=(client,), daemon=True).start()

    with socket.create_server((address, 0), backlog=128) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
