"""Sound files made unsound, each from its own number: the same number gives the same file."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Sequence

Dice = random.Random
Mutation = Callable[[Dice, bytearray, Sequence[bytes]], None]

_ODD = (0, 1, 2, 7, 8, 15, 16, 127, 128, 254, 255, 256, 257, 1000, 4095, 16383, 16384, 32767, 32768, 65500, 65535,
        65536, 100_000, 2**24 - 1, 2**24, 2**30, 2**31 - 1, 2**31, 2**32 - 16, 2**32 - 1)  # fmt: skip
_WIDTHS = ("<H", ">H", "<I", ">I", "B")
MAX_MUTATIONS = 6
PNG = b"\x89PNG\r\n\x1a\n"


def mutated(number: int, seeds: Sequence[bytes]) -> bytes:
    """File `number`."""
    dice = random.Random(number)  # noqa: S311
    data = bytearray(dice.choice(seeds))
    for _ in range(min(1 + int(dice.expovariate(0.7)), MAX_MUTATIONS)):
        dice.choice(MUTATIONS)(dice, data, seeds)
    if data.startswith(PNG) and dice.random() < 0.7:
        data = _with_sound_checksums(data)
    return bytes(data)


def _flip(dice: Dice, data: bytearray, _: Sequence[bytes]) -> None:
    for _bit in range(dice.choice((1, 1, 2, 8, 40))):
        if data:
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def _overwrite(dice: Dice, data: bytearray, _: Sequence[bytes]) -> None:
    at = dice.randrange(len(data) + 1)
    noise = dice.randbytes(dice.choice((1, 2, 4, 16, 64)))
    data[at : at + len(noise)] = noise


def _truncate(dice: Dice, data: bytearray, _: Sequence[bytes]) -> None:
    del data[dice.randrange(len(data) + 1) :]


def _cut(dice: Dice, data: bytearray, _: Sequence[bytes]) -> None:
    start, length = _region(dice, data)
    del data[start : start + length]


def _repeat(dice: Dice, data: bytearray, _: Sequence[bytes]) -> None:
    start, length = _region(dice, data)
    data[start:start] = data[start : start + length] * dice.choice((1, 1, 2, 30))


def _splice(dice: Dice, data: bytearray, seeds: Sequence[bytes]) -> None:
    other = bytearray(dice.choice(seeds))
    start, length = _region(dice, other)
    at = dice.randrange(len(data) + 1)
    data[at : at + dice.choice((0, length))] = other[start : start + length]


def _number(dice: Dice, data: bytearray, _: Sequence[bytes]) -> None:
    """A length, a count, an offset: somewhere in the first part, where most of them are."""
    _put(dice, data, dice.randrange(min(len(data), dice.choice((32, 128, 1024, 1 << 20))) + 1))


def _dimension(dice: Dice, data: bytearray, _: Sequence[bytes]) -> None:
    """A place that holds what may be a width or a height."""
    width = dice.choice(_WIDTHS)
    sought = struct.pack(width, dice.choice((8, 16, 25, 32, 33, 64, 80)))
    places = [at for at in range(len(data)) if data.startswith(sought, at)]
    if places:
        _put(dice, data, dice.choice(places), width)


def _put(dice: Dice, data: bytearray, at: int, width: str | None = None) -> None:
    width = width or dice.choice(_WIDTHS)
    size = struct.calcsize(width)
    number = dice.choice(_ODD) & (1 << 8 * size) - 1
    data[at : at + size] = struct.pack(width, number)


def _chunk(dice: Dice, data: bytearray, seeds: Sequence[bytes]) -> None:
    """Of a PNG: dropped, doubled or moved; of any other file, a region is."""
    chunks = _chunks(data)
    if len(chunks) < 2:
        _repeat(dice, data, seeds)
        return
    taken = dice.choice(chunks)
    if dice.random() < 0.5:
        chunks.remove(taken)
    chunks.insert(dice.randrange(len(chunks) + 1), taken)
    data[:] = PNG + b"".join(chunks)


def _region(dice: Dice, data: bytearray) -> tuple[int, int]:
    return dice.randrange(len(data) + 1), dice.choice((1, 4, 12, 60, 300, 2000))


def _chunks(data: bytearray) -> list[bytes]:
    """Lengths that lie end the list."""
    found, at = [], len(PNG)
    while data.startswith(PNG) and at + 12 <= len(data):
        size = 12 + int.from_bytes(data[at : at + 4], "big")
        found.append(bytes(data[at : at + size]))
        at += size
    return found


def _with_sound_checksums(data: bytearray) -> bytearray:
    """Else a decoder would look no further."""
    sound = bytearray(PNG)
    for chunk in _chunks(data):
        sound += chunk[:-4] + struct.pack(">I", zlib.crc32(chunk[4:-4]))
    return sound


MUTATIONS: tuple[Mutation, ...] = (
    _flip, _flip, _overwrite, _truncate, _cut, _repeat, _splice, _number, _number, _dimension, _dimension, _chunk,
)  # fmt: skip
