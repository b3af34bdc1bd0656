"""The bad neighbours: a host whose bodies crawl, one that refuses connections, and a proxy that adds latency."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOPBACK = "127.0.0.1"
OTHER_LOOPBACK = "127.0.0.2"  # another host to the worker, on the same machine
PIECE_BYTES = 64 * 1024


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
def _listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    def serve_one(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            serve(client)

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=serve_one, args=(client,), daemon=True).start()

    with socket.create_server((LOOPBACK, 0), backlog=128) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
