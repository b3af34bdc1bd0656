"""Corrupts valid files. Each mutated file follows from its number alone: the same number gives the same file."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Sequence

Rng = random.Random
Mutation = Callable[[Rng, bytearray, Sequence[bytes]], None]

_ODD = (0, 1, 2, 7, 8, 15, 16, 127, 128, 254, 255, 256, 257, 1000, 4095, 16383, 16384, 32767, 32768, 65500, 65535,
        65536, 100_000, 2**24 - 1, 2**24, 2**30, 2**31 - 1, 2**31, 2**32 - 16, 2**32 - 1)  # fmt: skip
_WIDTHS = ("<H", ">H", "<I", ">I", "B")
MAX_MUTATIONS = 6
PNG = b"\x89PNG\r\n\x1a\n"


def mutated(number: int, seeds: Sequence[bytes]) -> bytes:
    """Return file `number`."""
    rng = random.Random(number)  # noqa: S311
    data = bytearray(rng.choice(seeds))
    for _ in range(min(1 + int(rng.expovariate(0.7)), MAX_MUTATIONS)):
        rng.choice(MUTATIONS)(rng, data, seeds)
    if data.startswith(PNG) and rng.random() < 0.7:
        data = _with_valid_checksums(data)
    return bytes(data)


def _flip(rng: Rng, data: bytearray, _: Sequence[bytes]) -> None:
    for _bit in range(rng.choice((1, 1, 2, 8, 40))):
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _overwrite(rng: Rng, data: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    noise = rng.randbytes(rng.choice((1, 2, 4, 16, 64)))
    data[at : at + len(noise)] = noise


def _truncate(rng: Rng, data: bytearray, _: Sequence[bytes]) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _cut(rng: Rng, data: bytearray, _: Sequence[bytes]) -> None:
    start, length = _region(rng, data)
    del data[start : start + length]


def _repeat(rng: Rng, data: bytearray, _: Sequence[bytes]) -> None:
    start, length = _region(rng, data)
    data[start:start] = data[start : start + length] * rng.choice((1, 1, 2, 30))


def _splice(rng: Rng, data: bytearray, seeds: Sequence[bytes]) -> None:
    other = bytearray(rng.choice(seeds))
    start, length = _region(rng, other)
    at = rng.randrange(len(data) + 1)
    data[at : at + rng.choice((0, length))] = other[start : start + length]


def _number(rng: Rng, data: bytearray, _: Sequence[bytes]) -> None:
    """Overwrite a possible length, count or offset in the first part of the file, where most of them are."""
    _put(rng, data, rng.randrange(min(len(data), rng.choice((32, 128, 1024, 1 << 20))) + 1))


def _dimension(rng: Rng, data: bytearray, _: Sequence[bytes]) -> None:
    """Overwrite a value that may be a width or a height."""
    width = rng.choice(_WIDTHS)
    sought = struct.pack(width, rng.choice((8, 16, 25, 32, 33, 64, 80)))
    positions = [at for at in range(len(data)) if data.startswith(sought, at)]
    if positions:
        _put(rng, data, rng.choice(positions), width)


def _put(rng: Rng, data: bytearray, at: int, width: str | None = None) -> None:
    width = width or rng.choice(_WIDTHS)
    size = struct.calcsize(width)
    number = rng.choice(_ODD) & (1 << 8 * size) - 1
    data[at : at + size] = struct.pack(width, number)


def _chunk(rng: Rng, data: bytearray, seeds: Sequence[bytes]) -> None:
    """Drop, duplicate or move a chunk of a PNG; repeat a region of any other file."""
    chunks = _chunks(data)
    if len(chunks) < 2:
        _repeat(rng, data, seeds)
        return
    chunk = rng.choice(chunks)
    if rng.random() < 0.5:
        chunks.remove(chunk)
    chunks.insert(rng.randrange(len(chunks) + 1), chunk)
    data[:] = PNG + b"".join(chunks)


def _region(rng: Rng, data: bytearray) -> tuple[int, int]:
    return rng.randrange(len(data) + 1), rng.choice((1, 4, 12, 60, 300, 2000))


def _chunks(data: bytearray) -> list[bytes]:
    """Return a PNG's chunks, up to the first whose length runs past the end."""
    chunks, at = [], len(PNG)
    while data.startswith(PNG) and at + 12 <= len(data):
        size = 12 + int.from_bytes(data[at : at + 4], "big")
        chunks.append(bytes(data[at : at + size]))
        at += size
    return chunks


def _with_valid_checksums(data: bytearray) -> bytearray:
    """Fix a PNG's checksums, else a decoder would stop at the first chunk."""
    fixed = bytearray(PNG)
    for chunk in _chunks(data):
        fixed += chunk[:-4] + struct.pack(">I", zlib.crc32(chunk[4:-4]))
    return fixed


MUTATIONS: tuple[Mutation, ...] = (
    _flip, _flip, _overwrite, _truncate, _cut, _repeat, _splice, _number, _number, _dimension, _dimension, _chunk,
)  # fmt: skip
