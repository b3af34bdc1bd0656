"""Takes a TIFF file whose samples are stored plane after plane apart: into the directories of grey images."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from sightstream.pipeline.decode.opened import UnreadableLayout
from sightstream.pipeline.decode.tiff_directory import Directory, Field, longs, shorts
from sightstream.pipeline.decode.tiff_tags import (
    ASSOCIATED,
    BLACK_IS_ZERO,
    CMYK,
    CMYK_INKS,
    COREL_ALPHA,
    RGB,
    UNASSOCIATED,
    UNSIGNED,
    WHITE_IS_ZERO,
    YCBCR,
    Tag,
)

_MODES = {WHITE_IS_ZERO: "L", BLACK_IS_ZERO: "L", RGB: "RGB", CMYK: "CMYK", YCBCR: "YCbCr"}
_BITS = {1, 2, 4, 8, 16}
_ALPHAS = (ASSOCIATED, UNASSOCIATED, COREL_ALPHA)
_MAX_SAMPLES = 16
# These are the same for each plane.
_SHARED = (
    Tag.WIDTH, Tag.LENGTH, Tag.COMPRESSION, Tag.FILL_ORDER, Tag.ORIENTATION, Tag.ROWS_PER_STRIP, Tag.T4_OPTIONS,
    Tag.T6_OPTIONS, Tag.PREDICTOR, Tag.TILE_WIDTH, Tag.TILE_LENGTH, Tag.JPEG_TABLES,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Planes:
    """The first `colours` planes are those of a Pillow mode; `alpha` is the number of the plane that has it."""

    mode: str
    colours: int
    alpha: int | None
    associated: bool
    white_is_zero: bool


def planes_of(directory: Directory) -> Planes:
    """Return what each plane means. Raises UnreadableLayout."""
    photometric, samples = directory.number(Tag.PHOTOMETRIC, 0), directory.number(Tag.SAMPLES, 1)
    mode = _MODES.get(photometric)
    bits, formats = set(directory.numbers(Tag.BITS, (1,))), set(directory.numbers(Tag.SAMPLE_FORMAT, (UNSIGNED,)))
    fewer_chroma = photometric == YCBCR and directory.numbers(Tag.SUBSAMPLING, (2, 2)) != (1, 1)
    if mode is None or fewer_chroma or len(bits) > 1 or not bits <= _BITS or formats != {UNSIGNED}:
        raise UnreadableLayout(directory.layout())
    colours = Image.getmodebands(mode)
    extras = directory.numbers(Tag.EXTRAS, (UNASSOCIATED,) * max(0, min(samples, _MAX_SAMPLES) - colours))
    alphas = [n for n, extra in enumerate(extras) if extra in _ALPHAS]
    other_inks = photometric == CMYK and directory.number(Tag.INK_SET, CMYK_INKS) != CMYK_INKS
    if samples != colours + len(extras) or other_inks or (alphas and mode not in ("L", "RGB")):
        raise UnreadableLayout(directory.layout())
    alpha = colours + alphas[0] if alphas else None
    return Planes(mode, colours, alpha, bool(alphas) and extras[alphas[0]] == ASSOCIATED, photometric == WHITE_IS_ZERO)


def plane_fields(directory: Directory) -> list[dict[int, Field]]:
    """Return a directory for each plane, as a grey image. Raises ValueError if pieces of it are missing."""
    samples, order = directory.number(Tag.SAMPLES), directory.order
    tiled = Tag.TILE_OFFSETS in directory
    tags = (Tag.TILE_OFFSETS, Tag.TILE_BYTES) if tiled else (Tag.STRIP_OFFSETS, Tag.STRIP_BYTES)
    offsets, lengths = (directory.numbers(tag) for tag in tags)
    pieces = _pieces(directory)
    if not len(offsets) == len(lengths) == pieces * samples:
        raise ValueError("the number of strips or tiles does not fit the size")
    fields = {int(tag): directory.field(tag) for tag in _SHARED if tag in directory}
    fields[Tag.BITS] = shorts(order, directory.number(Tag.BITS, 1))
    fields[Tag.PHOTOMETRIC] = shorts(order, BLACK_IS_ZERO)
    parts = [slice(n * pieces, (n + 1) * pieces) for n in range(samples)]
    planes = [{**fields, tags[0]: longs(order, offsets[part]), tags[1]: longs(order, lengths[part])} for part in parts]
    if Tag.PROFILE in directory:
        planes[0][Tag.PROFILE] = directory.field(Tag.PROFILE)
    return planes


def _pieces(directory: Directory) -> int:
    """Return the number of strips or tiles of one plane."""
    width, length = directory.number(Tag.WIDTH), directory.number(Tag.LENGTH)
    if Tag.TILE_OFFSETS in directory:
        across, down = directory.number(Tag.TILE_WIDTH), directory.number(Tag.TILE_LENGTH)
        return -(-width // max(1, across)) * -(-length // max(1, down))
    return -(-length // max(1, directory.number(Tag.ROWS_PER_STRIP, length)))
