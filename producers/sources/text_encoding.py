"""Hands on a table's bytes as UTF-8, whatever encoding it was saved in."""

from __future__ import annotations

import codecs
import io
from typing import Any

from sightstream.producers.errors import SourceError

CHUNK_BYTES = 64 * 1024
UTF_8 = "utf-8"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def check_encoding(name: str) -> str:
    """Return the name that Python gives this encoding of text. Raises SourceError for one that it does not know."""
    try:
        "".encode(name)
        return codecs.lookup(name).name
    except (LookupError, ValueError):
        raise SourceError(f"{name!r} is no encoding; write utf-8, utf-16, cp1252, latin-1 or another name") from None


def as_utf8(file: io.BufferedReader, encoding: str | None) -> tuple[io.BufferedReader, str]:
    """Return the bytes as UTF-8, and the encoding that they had: the given one, UTF-16 where it shows, else UTF-8.

    Bytes that are none of the encoding make bytes that are no UTF-8, so that only their line is lost.
    """
    found = encoding or _shown(file.peek(4)[:4])
    return (file, found) if found == UTF_8 else (io.BufferedReader(_Recoded(file, found)), found)


def _shown(start: bytes) -> str:
    if start.startswith(_UTF_16_MARKS):
        return "utf-16"
    if start[1:4:2] == b"\0\0":  # the first letters of a table are ASCII
        return "utf-16-le"
    return "utf-16-be" if start[0:4:2] == b"\0\0" else UTF_8


class _Recoded(io.RawIOBase):
    def __init__(self, file: io.BufferedReader, encoding: str) -> None:
        self._file, self._encoding = file, encoding
        self._errors = "surrogatepass" if encoding.startswith("utf-") else "surrogateescape"
        self._decoder = codecs.getincrementaldecoder(encoding)(self._errors)
        self._pending = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._pending:
            data = self._file.read(CHUNK_BYTES)
            self._pending = self._recode(data)
            if not data:
                break
        size = min(len(buffer), len(self._pending))
        buffer[:size], self._pending = self._pending[:size], self._pending[size:]
        return size

    def _recode(self, data: bytes) -> bytes:
        try:
            return self._decoder.decode(data, final=not data).encode(UTF_8, self._errors)
        except UnicodeError as error:
            raise SourceError(f"the file is not {self._encoding}: {error}") from None
