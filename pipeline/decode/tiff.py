"""Opens a TIFF file so that Pillow reads its layout right, or not at all.

Pillow mixes up planes that are stored one after the other, knows no grey under associated alpha, and swaps the bytes of
some compressed numbers. Such a file is given another directory, for the same pixel data, that it reads as it is meant.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from sightstream.pipeline.decode.opened import FirstFrame, Opened, UnreadableLayout
from sightstream.pipeline.decode.tiff_directory import Directory, read_directory, shorts, with_directories
from sightstream.pipeline.decode.tiff_planes import Planes, plane_fields, planes_of
from sightstream.pipeline.decode.tiff_tags import (
    ASSOCIATED,
    NO_COMPRESSION,
    OLD_JPEG,
    SEPARATE,
    SIGNED,
    UNASSOCIATED,
    Tag,
)
from sightstream.pipeline.decode.tone import is_wide, to_8_bit

_EIGHT_BITS = 8
# libtiff returns the machine's byte order, but Pillow takes these for the file's.
_NATIVE = {"I;16BS": "I;16NS", "I;32BS": "I;32NS", "F;32BF": "F;32NF"}
_PREMULTIPLIED = {"LA": "La", "RGBA": "RGBa"}


def open_tiff(data: bytes) -> Opened:
    """Raises UnreadableLayout, and ValueError if the directory is broken."""
    directory = read_directory(data)
    _refuse_what_comes_out_wrong(directory)
    if directory.number(Tag.PLANAR, 1) == SEPARATE and directory.number(Tag.SAMPLES, 1) > 1:
        planes = planes_of(directory)
        grey = _open(with_directories(data, directory.order, plane_fields(directory)), directory)
        return Opened(grey, lambda _: FirstFrame(_assembled(grey, planes)))
    associated = directory.numbers(Tag.EXTRAS)[:1] == (ASSOCIATED,)
    swapped = directory.is_big and directory.order == ">"
    if associated or swapped or directory.number(Tag.PLANAR, 1) == SEPARATE:
        data = _plainly(directory)
    image = _open(data, directory)
    return Opened(image, lambda _: FirstFrame(_loaded(image, associated)))


def _refuse_what_comes_out_wrong(directory: Directory) -> None:
    if SIGNED in directory.numbers(Tag.SAMPLE_FORMAT) and _EIGHT_BITS in directory.numbers(Tag.BITS, (1,)):
        raise UnreadableLayout(f"{directory.layout()}, signed")
    if directory.number(Tag.COMPRESSION, NO_COMPRESSION) == OLD_JPEG and Tag.TILE_OFFSETS in directory:
        raise UnreadableLayout(f"{directory.layout()}, tiles")


def _plainly(directory: Directory) -> bytes:
    """Return the file with a classic directory, of one plane and unassociated alpha."""
    fields = {int(tag): directory.field(tag) for tag in Tag if tag in directory}
    fields[Tag.PLANAR] = shorts(directory.order, 1)
    extras = directory.numbers(Tag.EXTRAS)
    if extras[:1] == (ASSOCIATED,):
        fields[Tag.EXTRAS] = shorts(directory.order, UNASSOCIATED, *extras[1:])
    return with_directories(directory.data, directory.order, [fields])


def _open(data: bytes, directory: Directory) -> TiffImagePlugin.TiffImageFile:
    try:
        image = Image.open(io.BytesIO(data), formats=["TIFF"])
    except UnidentifiedImageError:
        raise UnreadableLayout(directory.layout()) from None
    assert isinstance(image, TiffImagePlugin.TiffImageFile)  # noqa: S101 -- the only format that was allowed
    if image.mode == "YCbCr":
        _leave_to_libtiff(image)
    for n, tile in enumerate(image.tile):
        if tile.codec_name == "libtiff" and isinstance(tile.args, tuple) and tile.args[0] in _NATIVE:
            image.tile[n] = tile._replace(args=(_NATIVE[tile.args[0]], *tile.args[1:]))
    return image


def _leave_to_libtiff(image: TiffImagePlugin.TiffImageFile) -> None:
    """Read as compressed files are: Pillow alone knows neither other coefficients nor fewer chroma samples."""
    image._mode, image.use_load_libtiff = "RGB", True
    whole = (0, 0, image.tag_v2[Tag.WIDTH], image.tag_v2[Tag.LENGTH])
    image.tile = [ImageFile._Tile("libtiff", whole, 0, ("RGBX", False, image.tag_v2.offset))]


def _loaded(image: Image.Image, associated: bool) -> Image.Image:
    image.load()
    if associated and image.mode in _PREMULTIPLIED:
        return _merged(_PREMULTIPLIED[image.mode], image.split(), image.info.get("icc_profile"))
    return image


def _assembled(grey: TiffImagePlugin.TiffImageFile, planes: Planes) -> Image.Image:
    profile = grey.info.get("icc_profile")  # the first plane's, which is the one that has it
    bands = [_plane(grey, n, planes.white_is_zero) for n in range(planes.colours)]
    mode = planes.mode
    if planes.alpha is not None:
        bands.append(_plane(grey, planes.alpha))
        mode = "LA" if mode == "L" else "RGBA"
        mode = _PREMULTIPLIED[mode] if planes.associated else mode
    return _merged(mode, bands, profile)


def _plane(grey: TiffImagePlugin.TiffImageFile, number: int, white_is_zero: bool = False) -> Image.Image:
    grey.seek(number)
    grey.load()
    band = to_8_bit(grey) if is_wide(grey) else grey.convert("L")
    return band.point(range(255, -1, -1)) if white_is_zero else band


def _merged(mode: str, bands: Sequence[Image.Image], profile: Any) -> Image.Image:
    image = Image.merge(mode, bands)
    if profile is not None:
        image.info["icc_profile"] = profile
    return image
