"""Each way of storing pixels in a TIFF file is read as it is meant, or refused by name; none comes out as noise."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import pytest
import tifffile

from sightstream.pipeline.errors import Rejected
from tests.pipeline.decode.layouts.fields import Numbers, Shades, decoded, difference, field, on_white, shown, stored

SIZE = 29, 37
TILE = 16, 32
PALETTE = (field(3, (256, 2))[0].T * 65535).astype("u2")


@dataclass(frozen=True, slots=True)
class Mode:
    """How the samples of a pixel are meant; `colours` of them are colours, and `alpha` is where alpha is."""

    photometric: str
    colours: int
    extras: tuple[str, ...] = ()

    @property
    def samples(self) -> int:
        return self.colours + len(self.extras)

    @property
    def alpha(self) -> int | None:
        return next((self.colours + n for n, extra in enumerate(self.extras) if extra != "unspecified"), None)

    @property
    def associated(self) -> bool:
        return "assocalpha" in self.extras


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything else about a file."""

    kind: str
    bits: int
    planar: str = "contig"
    compression: str | None = None
    predictor: bool = False
    pieces: str = "strips"
    order: Literal["<", ">"] = "<"
    big: bool = False


MODES = {
    "grey": Mode("minisblack", 1),
    "white is zero": Mode("miniswhite", 1),
    "grey alpha": Mode("minisblack", 1, ("unassalpha",)),
    "grey associated alpha": Mode("minisblack", 1, ("assocalpha",)),
    "grey and more": Mode("minisblack", 1, ("unspecified",)),
    "white is zero alpha": Mode("miniswhite", 1, ("unassalpha",)),
    "palette": Mode("palette", 1),
    "rgb": Mode("rgb", 3),
    "rgb alpha": Mode("rgb", 3, ("unassalpha",)),
    "rgb associated alpha": Mode("rgb", 3, ("assocalpha",)),
    "rgb and more": Mode("rgb", 3, ("unspecified",)),
    "rgb alpha and more": Mode("rgb", 3, ("unassalpha", "unspecified")),
    "rgb more and alpha": Mode("rgb", 3, ("unspecified", "unassalpha")),
    "cmyk": Mode("separated", 4),
    "cmyk alpha": Mode("separated", 4, ("unassalpha",)),
}
KINDS = [("u", 1), ("u", 2), ("u", 4), ("u", 8), ("u", 12), ("u", 16), ("u", 32), ("i", 8), ("i", 16), ("i", 32)]
KINDS += [("f", 16), ("f", 32), ("f", 64)]
BYTE_ORDERS: tuple[Literal["<", ">"], ...] = ("<", ">")
COMPRESSIONS: list[tuple[str | None, bool]] = [(None, False), ("packbits", False), ("lzw", True)]
COMPRESSIONS += [("zlib", False), ("zlib", True)]
# What must be read; of the rest, only that it is refused rather than wrong.
READ = {
    "grey": {("u", 1), ("u", 2), ("u", 4), ("u", 8), ("u", 16), ("i", 16), ("i", 32), ("f", 32)},
    "white is zero": {("u", 1), ("u", 2), ("u", 4), ("u", 8), ("f", 32)},
    "palette": {("u", 8)},
    "rgb": {("u", 8), ("u", 16)},
    "rgb alpha": {("u", 8), ("u", 16)},
    "rgb associated alpha": {("u", 8), ("u", 16)},
    "rgb and more": {("u", 8), ("u", 16)},
    "rgb alpha and more": {("u", 8)},
    "grey alpha": {("u", 8)},
    "grey associated alpha": {("u", 8)},
    "grey and more": {("u", 8)},
    "cmyk": {("u", 8), ("u", 16)},
}
READ_LITTLE_ENDIAN = {"grey": ("u", 12), "white is zero": ("u", 16)}
READ_IN_PLANES = {("u", 1), ("u", 2), ("u", 4), ("u", 8), ("u", 16)}


def layouts(name: str) -> Iterator[Layout]:
    """Yield every combination of a kind that is read, but 64-bit offsets in one alone; one layout of another kind."""
    mode = MODES[name]
    planars = ("contig", "separate") if mode.samples > 1 else ("contig",)
    kinds = [("u", 8)] if mode.photometric == "palette" else KINDS  # tifffile writes no other palettes
    for (kind, bits), planar in product(kinds, planars):
        if not must_be_read(name, Layout(kind, bits, planar)):
            yield Layout(kind, bits, planar)
            continue
        # It packs bits without compression only.
        for compression, predictor in COMPRESSIONS if bits % 8 == 0 else COMPRESSIONS[:1]:
            for pieces, order in product(("one", "strips", "tiles"), BYTE_ORDERS):
                yield Layout(kind, bits, planar, compression, predictor, pieces, order)
        for order in BYTE_ORDERS:
            yield Layout(kind, bits, planar, order=order, big=True)


def numbers(mode: Mode, layout: Layout) -> Numbers:
    shades = field(mode.samples, SIZE)
    if mode.associated and mode.alpha is not None:
        shades[..., : mode.colours] *= shades[..., mode.alpha :][..., :1]
    return stored(shades, layout.kind, layout.bits)


def written(mode: Mode, layout: Layout, values: Numbers) -> bytes:
    data = values[..., 0] if mode.samples == 1 else values
    options: dict[str, Any] = {"photometric": mode.photometric, "compression": layout.compression}
    if mode.samples > 1:
        options |= {"planarconfig": layout.planar, "extrasamples": mode.extras}
        data = np.moveaxis(data, -1, 0) if layout.planar == "separate" else data
    if layout.bits in (1, 2, 4, 12):
        options["bitspersample"] = layout.bits
    if mode.photometric == "palette":
        options["colormap"] = PALETTE
    options |= (
        {"tile": TILE}
        if layout.pieces == "tiles"
        else {"rowsperstrip": 16 if layout.pieces == "strips" else len(values)}
    )
    out = io.BytesIO()
    with tifffile.TiffWriter(out, bigtiff=layout.big, byteorder=layout.order) as file:
        file.write(data, metadata=None, predictor=layout.predictor, **options)
    return out.getvalue()


def meant(mode: Mode, layout: Layout, values: Numbers) -> Shades:
    if mode.photometric == "palette":
        return np.moveaxis(PALETTE[:, values[..., 0]].astype("f8") / 65535, 0, -1)
    shades = shown(values, layout.kind, layout.bits)
    colours = shades[..., : mode.colours]
    if mode.photometric == "separated":
        colours = (1 - colours[..., :3]) * (1 - colours[..., 3:])
    if mode.photometric == "miniswhite":
        colours = 1 - colours
    alpha = None if mode.alpha is None else shades[..., mode.alpha : mode.alpha + 1]
    return on_white(colours, alpha, mode.associated)


def must_be_read(name: str, layout: Layout) -> bool:
    kind = (layout.kind, layout.bits)
    if layout.planar == "separate":
        return kind in READ_IN_PLANES and name != "cmyk alpha"
    return kind in READ.get(name, ()) or (layout.order == "<" and READ_LITTLE_ENDIAN.get(name) == kind)


@pytest.mark.parametrize("name", MODES)
def test_a_layout_is_read_right_or_refused(name: str) -> None:
    mode = MODES[name]
    for layout in layouts(name):
        values = numbers(mode, layout)
        file = written(mode, layout, values)
        if must_be_read(name, layout):
            assert difference(file, meant(mode, layout, values)).max() <= (1 if layout.bits <= 8 else 2), layout
        else:
            with pytest.raises(Rejected, match="this TIFF layout is not read: "):
                decoded(file)


def test_the_sweep_is_wide() -> None:
    assert sum(must_be_read(name, layout) for name in MODES for layout in layouts(name)) >= 600


@pytest.mark.parametrize("order", BYTE_ORDERS)
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("pieces", ["one", "strips", "tiles"])
@pytest.mark.parametrize("name", ["grey", "rgb", "cmyk"])
def test_jpeg_inside_is_close(name: str, pieces: str, planar: str, order: Literal["<", ">"]) -> None:
    mode, layout = MODES[name], Layout("u", 8, planar, "jpeg", pieces=pieces, order=order)
    values = stored(field(mode.samples, (32, 48)), "u", 8)  # whole tiles: the padding of others bleeds into them
    worst = difference(written(mode, layout, values), meant(mode, layout, values))
    assert worst.mean() <= 1.5
    assert worst.max() <= 12
