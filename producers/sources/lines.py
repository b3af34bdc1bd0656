"""Reads a text file line by line in bounded memory, and computes the digest of what was read."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import BinaryIO

MAX_LINE_BYTES = 1024**2
BOM = b"\xef\xbb\xbf"


class LineError(ValueError):
    """A line is not readable text; the next one may be."""


class Lines(Iterator[str]):
    """Yields UTF-8 lines with their ends, without a byte order mark. Raising LineError does not end the iteration."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._number = 0
        self._first = 1
        self._size = 0
        self._digest = sha256()

    def __next__(self) -> str:
        line = self._file.readline(MAX_LINE_BYTES)
        if not line:
            raise StopIteration
        self._number += 1
        self._record(line)
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            self._skip_rest()
            raise LineError(f"the line is longer than {MAX_LINE_BYTES} bytes")
        try:
            return line.removeprefix(BOM if self._number == 1 else b"").decode("utf-8")
        except UnicodeDecodeError:
            raise LineError("the line is not UTF-8") from None

    def consumed(self) -> tuple[str, bytes, int]:
        """Return location, digest and size of what was read since the last call."""
        location = f"line {self._first}" if self._first >= self._number else f"lines {self._first} to {self._number}"
        consumed = (location, self._digest.digest(), self._size)
        self._first, self._size, self._digest = self._number + 1, 0, sha256()
        return consumed

    def skip(self) -> None:
        """Start the next location after what was read since the last call; it stays part of the next digest."""
        self._first = self._number + 1

    def _record(self, line: bytes) -> None:
        self._size += len(line)
        self._digest.update(line)

    def _skip_rest(self) -> None:
        while rest := self._file.readline(MAX_LINE_BYTES):
            self._record(rest)
            if rest.endswith(b"\n"):
                return
