"""Servers that are no Redis: each misbehaves in one way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

Behaviour = Callable[[socket.socket], None]


class FakeServer:
    """Listens on loopback and handles each connection on a thread of its own."""

    def __init__(self, behave: Behaviour) -> None:
        self._behave = behave
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.accepted: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.accepted.append(connection)
                threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        with suppress(OSError):
            self._behave(connection)

    def stop(self) -> None:
        for one in (self._listening, *self.accepted):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def says(reply: bytes) -> Behaviour:
    """Send the same reply to every command."""

    def behave(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(reply)

    return behave


def drips(connection: socket.socket) -> None:
    """Send a reply that begins well, goes on byte by byte, and never ends."""
    connection.recv(65536)
    connection.sendall(b"$100000000\r\n")
    pause = threading.Event()
    while True:
        connection.sendall(b"x")
        pause.wait(0.02)


def floods(connection: socket.socket) -> None:
    """Send more than was asked for, without end."""
    connection.recv(65536)
    connection.sendall(b"$500000000\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def hangs_up(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def is_silent(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass
