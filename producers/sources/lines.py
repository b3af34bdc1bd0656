"""Reads a text file line by line in bounded memory, and computes the digest of what was read."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator
from hashlib import sha256
from io import BufferedReader
from typing import BinaryIO

from sightstream.producers.sources.text_encoding import UTF_8, as_utf8

MAX_LINE_BYTES = 1024**2
MAX_ROW_LINES = 100  # that quotes may hold together
BOM = b"\xef\xbb\xbf"
_START_BYTES = 4096
_NOT_UTF8 = (
    "the line is not UTF-8: name the file's encoding, such as --encoding cp1252, or save it as UTF-8 "
    "(in Excel: CSV UTF-8)"
)


class LineError(ValueError):
    """A line is not readable text; the next one may be."""


class Lines(Iterator[str]):
    """Yields lines with their ends, without a byte order mark. Raising LineError does not end the iteration.

    Lines that were read since the last call of `consumed` or `skip` form a row. They are in `encoding`; unset, in
    UTF-16 where the first bytes show it, else in UTF-8.
    """

    def __init__(self, file: BufferedReader, encoding: str | None = None) -> None:
        recoded, found = as_utf8(file, encoding)
        self._not_text = _NOT_UTF8 if found == UTF_8 else f"the line is not {found}"
        self._file = _with_line_feeds(recoded)
        self._pending: deque[bytes] = deque()
        self._row: list[bytes] = []
        self._number = 0
        self._first = 1
        self._size = 0  # of what was read before the row
        self._digest = sha256()

    def __next__(self) -> str:
        line = self._pending.popleft() if self._pending else self._file.readline(MAX_LINE_BYTES)
        if not line:
            raise StopIteration
        is_too_long = len(line) == MAX_LINE_BYTES and not line.endswith(b"\n")
        if self._row and (is_too_long or len(self._row) == MAX_ROW_LINES):
            self._pending.appendleft(line)
            raise LineError(f"a quote is open after {len(self._row)} lines")
        self._number += 1
        if is_too_long:
            self._pass_over(line)
            raise LineError(f"the line is longer than {MAX_LINE_BYTES} bytes")
        self._row.append(line)
        try:
            return line.removeprefix(BOM if self._number == 1 else b"").decode("utf-8")
        except UnicodeDecodeError:
            raise LineError(self._not_text) from None

    def consumed(self) -> tuple[str, bytes, int]:
        """Return location, digest and size of what was read since the last call."""
        first = self._first
        self.skip()
        location = f"line {first}" if first >= self._number else f"lines {first} to {self._number}"
        consumed = (location, self._digest.digest(), self._size)
        self._size, self._digest = 0, sha256()
        return consumed

    def skip(self) -> None:
        """Start the next location after what was read since the last call; it stays part of the next digest."""
        for line in self._row:
            self._record(line)
        self._row.clear()
        self._first = self._number + 1

    def back_to_first(self) -> bool:
        """Give back all lines of the row but the first one, to be read again. Return whether there were any."""
        rest = self._row[1:]
        del self._row[1:]
        self._pending.extendleft(reversed(rest))
        self._number -= len(rest)
        return bool(rest)

    def _record(self, line: bytes) -> None:
        self._size += len(line)
        self._digest.update(line)

    def _pass_over(self, line: bytes) -> None:
        self._record(line)
        while rest := self._file.readline(MAX_LINE_BYTES):
            self._record(rest)
            if rest.endswith(b"\n"):
                return


def _with_line_feeds(file: BufferedReader) -> BinaryIO:
    """Return the file with line feeds, also where its lines end in carriage returns alone, as old Macs wrote them."""
    start = file.peek(_START_BYTES)[:_START_BYTES]
    first, after, rest = start.partition(b"\r")
    if after and b"\n" not in first and not rest.startswith(b"\n"):  # later ones stand inside cells
        return io.BufferedReader(_LineFeeds(file))  # type: ignore[type-var]
    return file


class _LineFeeds(io.RawIOBase):
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data = self._file.read(len(buffer)).replace(b"\r", b"\n")
        buffer[: len(data)] = data
        return len(data)
