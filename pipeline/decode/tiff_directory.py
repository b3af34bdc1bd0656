"""Reads the first directory of a TIFF file (TIFF 6.0, and BigTIFF) and writes a file with directories of its own."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sightstream.pipeline.decode.tiff_tags import NO_COMPRESSION, UNSIGNED, Tag

ByteOrder = Literal["<", ">"]

# Bytes of one value, and struct's letter where it is an unsigned number, by the kind of field.
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_LETTERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_SHORT, _LONG, _LONG8_KINDS = 3, 4, (16, 18)
_MAX_FIELDS = 4096
_MAX_NAMED = 8


@dataclass(frozen=True, slots=True)
class Field:
    """The values of one tag: `count` of them, `kind` as TIFF numbers it, bytes in the file's order."""

    kind: int
    count: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Directory:
    """The first directory of the file `data`; a field is read only when it is asked for: others may be broken."""

    data: bytes
    order: ByteOrder
    is_big: bool
    entries: Mapping[int, tuple[int, int, bytes]]  # kind, count, and the value or its offset

    def __contains__(self, tag: int) -> bool:
        return tag in self.entries

    def field(self, tag: int) -> Field:
        """Raises ValueError if the values lie beyond the file's end, KeyError if the tag is missing."""
        kind, count, value = self.entries[tag]
        length = _BYTES.get(kind, 0) * count
        if length > len(value):
            start = int.from_bytes(value, "little" if self.order == "<" else "big")
            value = self.data[start : start + length]
        if len(value) < length:
            raise ValueError(f"the values of tag {tag} lie beyond the end of the file")
        return Field(kind, count, value[:length])

    def numbers(self, tag: int, default: Sequence[int] = ()) -> tuple[int, ...]:
        """Return unsigned whole numbers. Raises ValueError if the field has none."""
        if tag not in self.entries:
            return tuple(default)
        field = self.field(tag)
        if field.kind not in _LETTERS or not field.count:
            raise ValueError(f"tag {tag} holds no whole numbers")
        return struct.unpack(f"{self.order}{field.count}{_LETTERS[field.kind]}", field.data)

    def number(self, tag: int, default: int | None = None) -> int:
        """Return the first of the numbers. Raises ValueError, also where there is neither a field nor a default."""
        values = self.numbers(tag, () if default is None else (default,))
        if not values:
            raise ValueError(f"tag {tag} is missing")
        return values[0]

    def layout(self) -> str:
        """Describe how the pixels are stored, for a person who must store them otherwise."""
        bits = "/".join(map(str, dict.fromkeys(self.numbers(Tag.BITS, (1,))[:_MAX_NAMED])))
        return (
            f"{self.number(Tag.SAMPLES, 1)} x {bits} bits, sample format {self.number(Tag.SAMPLE_FORMAT, UNSIGNED)},"
            f" photometric {self.number(Tag.PHOTOMETRIC, 0)}, compression"
            f" {self.number(Tag.COMPRESSION, NO_COMPRESSION)}, planes {self.number(Tag.PLANAR, 1)}"
        )


def read_directory(data: bytes) -> Directory:
    """Raises ValueError if there is no directory, or a part of it lies beyond the end of the file."""
    order: ByteOrder = "<" if data[:2] == b"II" else ">"
    is_big = data[2:4] in (b"+\0", b"\0+")
    try:
        return Directory(data, order, is_big, dict(_entries(data, order, is_big)))
    except struct.error:
        raise ValueError("the directory lies beyond the end of the file") from None


def _entries(data: bytes, order: ByteOrder, is_big: bool) -> Iterator[tuple[int, tuple[int, int, bytes]]]:
    start, number, entry = (8, "Q", "HHQ8s") if is_big else (4, "H", "HHI4s")
    (at,) = struct.unpack_from(order + ("Q" if is_big else "I"), data, start)
    (count,) = struct.unpack_from(order + number, data, at)
    if count > _MAX_FIELDS:
        raise ValueError(f"a directory of {count} fields")
    at += struct.calcsize(order + number)
    for _ in range(count):
        tag, kind, values, value = struct.unpack_from(order + entry, data, at)
        yield tag, (kind, values, value)
        at += struct.calcsize(order + entry)


def shorts(order: ByteOrder, *values: int) -> Field:
    """Return a field of 16-bit numbers."""
    return Field(_SHORT, len(values), struct.pack(f"{order}{len(values)}H", *values))


def longs(order: ByteOrder, values: Sequence[int]) -> Field:
    """Return a field of 32-bit numbers. Raises ValueError if one is larger."""
    try:
        return Field(_LONG, len(values), struct.pack(f"{order}{len(values)}I", *values))
    except struct.error:
        raise ValueError("an offset beyond 4 GiB") from None


def with_directories(data: bytes, order: ByteOrder, directories: Sequence[Mapping[int, Field]]) -> bytes:
    """Return a classic TIFF with the same pixel data and these directories alone, one for each image.

    Only the first 8 bytes of `data` are changed, and something is appended: offsets into it stay right.
    """
    out = bytearray(data)
    if len(out) % 2:
        out += b"\0"
    links = [4]  # where the offset of the next directory stands
    for fields in directories:
        _append(out, order, fields, links)
    out[:4] = b"II*\0" if order == "<" else b"MM\0*"
    return bytes(out)


def _append(out: bytearray, order: ByteOrder, fields: Mapping[int, Field], links: list[int]) -> None:
    entries = b""
    for tag, wide in sorted(fields.items()):
        field = _classic(order, wide)
        value = field.data
        if len(value) > 4:
            value = struct.pack(order + "I", len(out))
            out += field.data + b"\0" * (len(field.data) % 2)
        entries += struct.pack(order + "HHI4s", tag, field.kind, field.count, value.ljust(4, b"\0"))
    struct.pack_into(order + "I", out, links[-1], len(out))
    out += struct.pack(order + "H", len(fields)) + entries
    links.append(len(out))
    out += bytes(4)


def _classic(order: ByteOrder, field: Field) -> Field:
    """Return a field of 64-bit numbers as one of 32 bits, the most that a classic TIFF has."""
    if field.kind not in _LONG8_KINDS:
        return field
    return longs(order, struct.unpack(f"{order}{field.count}Q", field.data))
