"""Writes AVIF and HEIC files around pictures that an encoder has coded: turned, mirrored, or as a grid of tiles."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_BRANDS = {b"av01": (b"avif", b"avifmif1miaf"), b"hvc1": (b"heic", b"heicmif1miaf")}
_CONFIGURATIONS = (b"av1C", b"hvcC")


@dataclass(frozen=True, slots=True)
class Coded:
    """One coded picture: its bytes, and the boxes that a decoder needs to read them."""

    kind: bytes
    properties: bytes
    data: bytes


def coded(file: bytes) -> Coded:
    """Return the primary picture of a file that an encoder wrote."""
    meta = next(body for kind, body in _boxes(file) if kind == b"meta")[4:]
    inside = {kind: body for kind, body in _boxes(meta)}
    (primary,) = struct.unpack(">H", inside[b"pitm"][4:6])
    configuration, kept = b"", b""
    for kind, body in _boxes(dict(_boxes(inside[b"iprp"]))[b"ipco"]):
        if kind in (*_CONFIGURATIONS, b"colr", b"pixi") and _box(kind, body) not in kept:
            kept += _box(kind, body)
            configuration = kind if kind in _CONFIGURATIONS else configuration
    start, length = _location(inside[b"iloc"], primary)
    return Coded({b"av1C": b"av01", b"hvcC": b"hvc1"}[configuration], kept, file[start : start + length])


def turned(picture: Coded, size: tuple[int, int], angle: int | None, axis: int | None) -> bytes:
    """Return a file of one picture. `angle` counts quarter turns to the left, and is applied before the mirror."""
    return _file(picture, [(picture.kind, picture.data, size, picture.properties + _turns(angle, axis))], b"")


def grid(
    tiles: Sequence[Coded],
    columns: int,
    tile_size: tuple[int, int],
    size: tuple[int, int],
    angle: int | None = None,
    axis: int | None = None,
) -> bytes:
    """Return a file whose picture is put together of tiles, row after row, and cut to `size`."""
    rows = len(tiles) // columns
    layout = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, *size)
    pixi = b"".join(_box(kind, body) for kind, body in _boxes(tiles[0].properties) if kind == b"pixi")
    items = [(b"grid", layout, size, pixi + _turns(angle, axis))]
    items += [(tile.kind, tile.data, tile_size, tile.properties) for tile in tiles]
    ids = struct.pack(f">HH{len(tiles)}H", 1, len(tiles), *range(2, len(tiles) + 2))
    return _file(tiles[0], items, _full(b"iref", _box(b"dimg", ids)))


def _turns(angle: int | None, axis: int | None) -> bytes:
    turn = b"" if angle is None else _box(b"irot", bytes([angle]))
    return turn + (b"" if axis is None else _box(b"imir", bytes([axis])))


def _file(picture: Coded, items: Sequence[tuple[bytes, bytes, tuple[int, int], bytes]], references: bytes) -> bytes:
    """Items are (kind, data, size, properties); the first is the picture that is shown."""
    brand, compatible = _BRANDS[picture.kind]
    head = _box(b"ftyp", brand + bytes(4) + compatible)
    size_of_meta = len(_meta(items, references, 0))
    return head + _meta(items, references, len(head) + size_of_meta + 8) + _box(b"mdat", b"".join(i[1] for i in items))


def _meta(items: Sequence[tuple[bytes, bytes, tuple[int, int], bytes]], references: bytes, start: int) -> bytes:
    infos, locations, properties, associations = b"", b"", b"", b""
    number, at = 0, start
    for item_id, (kind, data, size, boxes) in enumerate(items, 1):
        hidden = 0 if item_id == 1 else 1
        infos += _full(b"infe", struct.pack(">HH", item_id, 0) + kind + b"\0", version=2, flags=hidden)
        locations += struct.pack(">HHHII", item_id, 0, 1, at, len(data))
        at += len(data)
        own = [_full(b"ispe", struct.pack(">II", *size)), *(_box(name, body) for name, body in _boxes(boxes))]
        properties += b"".join(own)
        essential = [128 if box[4:8] in (*_CONFIGURATIONS, b"irot", b"imir") else 0 for box in own]
        entries = bytes(mark | number + index for index, mark in enumerate(essential, 1))
        associations += struct.pack(">HB", item_id, len(own)) + entries
        number += len(own)
    return _full(
        b"meta",
        _full(b"hdlr", bytes(4) + b"pict" + bytes(13))
        + _full(b"pitm", struct.pack(">H", 1))
        + _full(b"iloc", struct.pack(">BBH", 0x44, 0, len(items)) + locations)
        + _full(b"iinf", struct.pack(">H", len(items)) + infos)
        + references
        + _box(b"iprp", _box(b"ipco", properties) + _full(b"ipma", struct.pack(">I", len(items)) + associations)),
    )


def _location(iloc: bytes, wanted: int) -> tuple[int, int]:
    """Return start and length of an item that is in one piece."""
    version, sizes = iloc[0], iloc[4]
    offset_size, length_size, base_size = sizes >> 4, sizes & 15, iloc[5] >> 4
    at = 8
    for _ in range(int.from_bytes(iloc[6:8])):
        item_id = int.from_bytes(iloc[at : at + 2])
        at += 4 if version == 0 else 6
        base = int.from_bytes(iloc[at : at + base_size])
        pieces = int.from_bytes(iloc[at + base_size : at + base_size + 2])
        at += base_size + 2
        start = base + int.from_bytes(iloc[at : at + offset_size])
        length = int.from_bytes(iloc[at + offset_size : at + offset_size + length_size])
        if item_id == wanted:
            return start, length
        at += pieces * (offset_size + length_size)
    raise ValueError(f"no item {wanted}")


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        yield data[at + 4 : at + 8], data[at + 8 : at + size]
        at += size


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def _full(kind: bytes, body: bytes, version: int = 0, flags: int = 0) -> bytes:
    return _box(kind, bytes([version]) + flags.to_bytes(3) + body)
