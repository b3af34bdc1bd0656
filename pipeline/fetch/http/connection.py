"""One HTTP/1.1 connection. Every read and write ends at the deadline of the fetch that uses it."""

from __future__ import annotations

import io
import socket
import ssl
from collections.abc import Mapping
from http.client import HTTPResponse
from typing import TYPE_CHECKING, cast

from sightstream.pipeline.fetch.deadline import Deadline
from sightstream.pipeline.fetch.http.url import HttpUrl

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER_BYTES = 64 * 1024


class _SocketReader(io.RawIOBase):
    """Reads a socket until the deadline.

    A slow-drip server never trips a per-read socket timeout, so each read gets what is left of the total.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.deadline: Deadline | None = None  # None: return the bytes that have arrived, without waiting

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        self._connection.settimeout(self.deadline.remaining_s() if self.deadline else 0)
        try:
            return self._connection.recv_into(buffer)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None


class _UnclosedReader(io.BufferedReader):
    """Ignores `close`: http.client closes its reader after each response, but the connection is kept."""

    def close(self) -> None:
        pass


class Connection:
    """A connection to one host at one vetted address. Used by one thread at a time."""

    def __init__(self, stream: socket.socket, now: float) -> None:
        self._stream = stream
        self._incoming = _SocketReader(stream)
        self._reader = _UnclosedReader(self._incoming, _BUFFER_BYTES)
        self.opened_at = self.last_used_at = now

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the reader. http.client calls this, as it would call a socket's."""
        return self._reader

    def request(self, url: HttpUrl, headers: Mapping[str, str], deadline: Deadline) -> HTTPResponse:
        """Send a GET and return the response with its body unread.

        Raises OSError, HTTPException, ValueError or TransientError.
        """
        lines = [f"GET {url.target} HTTP/1.1", f"Host: {url.authority}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._incoming.deadline = deadline
        self._stream.settimeout(deadline.remaining_s())
        self._stream.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        response = HTTPResponse(cast(socket.socket, self), method="GET")  # of a socket it calls only makefile
        response.begin()
        return response

    def is_reusable(self) -> bool:
        """Return whether it is open and holds no unread bytes. Never blocks."""
        self._incoming.deadline = None
        try:
            if self._reader.peek(1):
                return False
            return self._incoming.readinto(bytearray(1)) is None
        except (OSError, ValueError):
            return False

    def close(self) -> None:
        self._stream.close()
