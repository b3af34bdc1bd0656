"""One image file to upright RGB on white, laid out if wanted. Runs in the decode child: a file may bring it down."""

from __future__ import annotations

import contextlib
import io
import re
import warnings

from PIL import Image, ImageOps

from sightstream.pipeline.decode.colour import is_plain, to_rgb
from sightstream.pipeline.decode.draft import draft, orientation
from sightstream.pipeline.decode.formats import load_decoders, pillows_name
from sightstream.pipeline.decode.jpeg_header import ordinary_size
from sightstream.pipeline.decode.layout import lay, layout_of
from sightstream.pipeline.decode.limits import Limits
from sightstream.pipeline.decode.plain_jpeg import write_rgb
from sightstream.pipeline.decode.room import NoRoom, Room, write
from sightstream.pipeline.decode.sniff import sniff, webp_size
from sightstream.pipeline.decode.wire import Drawn
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.dead_letter import Reason, Stage

_NO_MEMORY = re.compile(r"out of memory|memory allocation|allocate memory|not enough memory", re.IGNORECASE)


def draw(data: bytes, limits: Limits, room: Room) -> Drawn:
    """What the engine gets is written to the room; the size is that of the whole image, upright.

    Raises Rejected for whatever a decoder makes of a bad file, and NoRoom.
    """
    kind = sniff(data)
    size = _size_without_pillow(data, kind, limits)
    if size is not None and write_rgb(data, *size, room):
        return Drawn(*size, kind)
    load_decoders()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _draw(data, kind, limits, room, tried=size is not None)
    except (Rejected, NoRoom):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _rejected(Reason.TOO_MANY_PIXELS, f"the image is over {limits.max_pixels} pixels") from None
    except Exception as error:  # decoders raise nearly anything on a bad file
        raise _damaged(kind, error) from None


def _size_without_pillow(data: bytes, kind: str, limits: Limits) -> tuple[int, int] | None:
    """Of an ordinary JPEG that is not laid out. What is to be refused, Pillow looks at, too."""
    size = ordinary_size(data) if kind == "JPEG" and limits.tiling is None else None
    return size if size is not None and _shape_problem(*size, limits) is None else None


def _draw(data: bytes, kind: str, limits: Limits, room: Room, tried: bool) -> Drawn:
    claimed = webp_size(data) if kind == "WEBP" else None
    if claimed is not None:
        _check_shape(*claimed, limits)
    with Image.open(io.BytesIO(data), formats=[pillows_name(kind)]) as image:
        _check_shape(image.width, image.height, limits)
        if not tried and _is_plain_jpeg(image, limits) and write_rgb(data, *image.size, room):
            return Drawn(*image.size, kind)
        drafted = draft(image, limits)
        image.load()  # the first frame of an animation
        _turn_upright(image)
        whole = drafted or image
        _check_shape(whole.width, whole.height, limits)
        rgb = to_rgb(image)
        if limits.tiling is None:
            write(rgb, room)
            return Drawn(whole.width, whole.height, kind)
        layout = layout_of(whole.width, whole.height, limits.tiling)
        box = None if drafted is None else drafted.box
        write(lay(rgb, layout, box), room)
        return Drawn(whole.width, whole.height, kind, layout.rows, layout.columns)


def _is_plain_jpeg(image: Image.Image, limits: Limits) -> bool:
    """Whether its decoded pixels are what is wanted."""
    return limits.tiling is None and image.format == "JPEG" and is_plain(image) and orientation(image) == 1


def _turn_upright(image: Image.Image) -> None:
    """A damaged note about the image is no reason to refuse the image."""
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)


def _check_shape(width: int, height: int, limits: Limits) -> None:
    if (problem := _shape_problem(width, height, limits)) is not None:
        raise problem


def _shape_problem(width: int, height: int, limits: Limits) -> Rejected | None:
    if width * height > limits.max_pixels:
        return _rejected(Reason.TOO_MANY_PIXELS, f"{width} x {height} is over {limits.max_pixels} pixels")
    if max(width, height) > limits.max_aspect_ratio * max(1, min(width, height)):
        return _rejected(Reason.UNUSABLE_SHAPE, f"{width} x {height} is too thin to look at")
    return None


def _damaged(kind: str, error: Exception) -> Rejected:
    if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
        return _rejected(Reason.TOO_MANY_PIXELS, "the image needs more memory than is allowed")
    cause = type(error).__name__
    return _rejected(Reason.IMAGE_CORRUPT, f"the {kind} data is damaged, or of a kind that is not read: {cause}")


def _rejected(reason: Reason, detail: str) -> Rejected:
    return Rejected(reason, Stage.DECODE, detail)
