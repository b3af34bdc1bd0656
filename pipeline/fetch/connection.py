"""One HTTP/1.1 connection whose every read and write ends with the time limit of the fetch that uses it."""

from __future__ import annotations

import io
import socket
import ssl
from collections.abc import Mapping
from http.client import HTTPResponse

from sightstream.pipeline.fetch.place import Place
from sightstream.pipeline.fetch.time_limit import TimeLimit

_BUFFER = 64 * 1024


class _Incoming(io.RawIOBase):
    """The bytes of a socket. A server that sends one now and then is within every time limit of a socket alone."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.limit: TimeLimit | None = None  # None: take what is there

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int | None:
        self._connection.settimeout(self.limit.left_s() if self.limit else 0)
        try:
            return self._connection.recv_into(buffer)  # type: ignore[arg-type]
        except (BlockingIOError, ssl.SSLWantReadError):
            return None


class _Reader(io.BufferedReader):
    """http.client closes what it reads from after each answer; the connection lives on."""

    def close(self) -> None:
        pass


class Connection:
    """To one host at one judged address. Used by one thread at a time."""

    def __init__(self, stream: socket.socket, now: float) -> None:
        self._stream = stream
        self._incoming = _Incoming(stream)
        self._reader = _Reader(self._incoming, _BUFFER)
        self.born = self.used = now

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What http.client asks of a socket."""
        return self._reader

    def ask(self, place: Place, headers: Mapping[str, str], limit: TimeLimit) -> HTTPResponse:
        """The answer's head; its body is still to be read. Raises OSError, HTTPException, ValueError or Transient."""
        lines = [f"GET {place.target} HTTP/1.1", f"Host: {place.authority}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._incoming.limit = limit
        self._stream.settimeout(limit.left_s())
        self._stream.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        response = HTTPResponse(self, method="GET")  # type: ignore[arg-type]
        response.begin()
        return response

    def clean(self) -> bool:
        """Whether it is open and holds nothing that was not asked for. Never blocks."""
        self._incoming.limit = None
        try:
            if self._reader.peek(1):
                return False
            return self._incoming.readinto(bytearray(1)) is None
        except (OSError, ValueError):
            return False

    def close(self) -> None:
        self._stream.close()
