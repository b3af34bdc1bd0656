"""Decodes one image file to upright RGB on white, or onto tiles. Runs in the decode child: a file may crash it."""

from __future__ import annotations

import re
import warnings

from PIL import Image

from sightstream.pipeline.decode.colour import is_plain, to_rgb
from sightstream.pipeline.decode.draft import draft
from sightstream.pipeline.decode.formats import load_decoders
from sightstream.pipeline.decode.jpeg_header import ordinary_size
from sightstream.pipeline.decode.limits import Limits
from sightstream.pipeline.decode.open_image import open_image
from sightstream.pipeline.decode.opened import EndsEarly, UnreadableLayout
from sightstream.pipeline.decode.output import AllocateOutput, OutOfSharedMemory, write
from sightstream.pipeline.decode.pixel_count import count_pixels
from sightstream.pipeline.decode.plain_jpeg import write_rgb
from sightstream.pipeline.decode.sniff import sniff, webp_size
from sightstream.pipeline.decode.tiles import choose_layout, resize_and_pad
from sightstream.pipeline.decode.truncation import ends_early
from sightstream.pipeline.decode.upright import orientation, turn_upright
from sightstream.pipeline.decode.wire import DecodedImage
from sightstream.pipeline.decode.work import check_scans
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.dead_letter import Reason, Stage

_OUT_OF_MEMORY = re.compile(r"out of memory|memory allocation|allocate memory|not enough memory", re.IGNORECASE)


def decode_image(data: bytes, limits: Limits, allocate: AllocateOutput) -> DecodedImage:
    """Write the pixels or the canvas to the allocated output; the returned size is that of the full image, upright.

    Raises OutOfSharedMemory, and Rejected for any error that a decoder raises on a bad file.
    """
    kind = sniff(data)
    if kind == "JPEG":
        check_scans(data)
    size = _size_without_pillow(data, kind, limits)
    if size is not None and (decoded := _decode_unscaled(data, size, kind, limits, allocate)):
        return decoded
    load_decoders()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _decode_with_pillow(data, kind, limits, allocate, jpeg_decoder_failed=size is not None)
    except (Rejected, OutOfSharedMemory):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _rejected(Reason.TOO_MANY_PIXELS, f"the image exceeds the limit of {limits.max_pixels} pixels") from None
    except UnreadableLayout as error:
        raise _rejected(Reason.IMAGE_CORRUPT, f"this {kind} layout is not read: {error}") from None
    except Exception as error:  # decoders raise nearly anything on a bad file
        raise _too_large(data, kind, limits) or _corrupt(data, kind, error) from None


def _size_without_pillow(data: bytes, kind: str, limits: Limits) -> tuple[int, int] | None:
    """Return the size of an ordinary JPEG that is not scaled. None also for a bad shape: Pillow checks it first."""
    size = ordinary_size(data) if kind == "JPEG" else None
    fits = size is not None and _shape_problem(*size, limits) is None and not _is_scaled(size, limits)
    return size if fits else None


def _is_scaled(size: tuple[int, int], limits: Limits) -> bool:
    return limits.tiling is not None and choose_layout(*size, limits.tiling).scaled != size


def _decode_unscaled(
    data: bytes, size: tuple[int, int], kind: str, limits: Limits, allocate: AllocateOutput
) -> DecodedImage | None:
    """Decode a JPEG of plain colours that is not scaled; None where that decoder finds a fault in it."""
    if limits.tiling is None:
        return DecodedImage(*size, kind) if write_rgb(data, size, size, allocate) else None
    layout = choose_layout(*size, limits.tiling)
    written = write_rgb(data, size, layout.size, allocate)
    return DecodedImage(*size, kind, layout.rows, layout.columns) if written else None


def _decode_with_pillow(
    data: bytes, kind: str, limits: Limits, allocate: AllocateOutput, jpeg_decoder_failed: bool
) -> DecodedImage:
    header_size = webp_size(data) if kind == "WEBP" else None
    if header_size is not None:
        _check_shape(*header_size, limits)
    opened = open_image(data, kind)
    with opened.image as image:
        _check_shape(image.width, image.height, limits)
        is_unscaled = not jpeg_decoder_failed and _is_plain_jpeg(image, limits)
        if is_unscaled and (decoded := _decode_unscaled(data, image.size, kind, limits, allocate)):
            return decoded
        smaller = draft(image, limits)
        frame = opened.load(limits.accepts_truncated)
        whole = frame.image
        turn_upright(whole)
        full = smaller or whole
        _check_shape(full.width, full.height, limits)
        rgb = to_rgb(whole)
        if limits.tiling is None:
            write(rgb, allocate)
            return DecodedImage(full.width, full.height, kind, is_truncated=frame.is_truncated)
        layout = choose_layout(full.width, full.height, limits.tiling)
        box = None if smaller is None else smaller.box
        write(resize_and_pad(rgb, layout, box), allocate)
        return DecodedImage(full.width, full.height, kind, layout.rows, layout.columns, frame.is_truncated)


def _is_plain_jpeg(image: Image.Image, limits: Limits) -> bool:
    """Return whether the output is just the file's decoded values."""
    if image.format != "JPEG" or _is_scaled(image.size, limits):
        return False
    return is_plain(image) and orientation(image) == 1


def _check_shape(width: int, height: int, limits: Limits) -> None:
    if (problem := _shape_problem(width, height, limits)) is not None:
        raise problem


def _shape_problem(width: int, height: int, limits: Limits) -> Rejected | None:
    if width * height > limits.max_pixels:
        detail = f"{width} x {height} exceeds the limit of {limits.max_pixels} pixels"
        return _rejected(Reason.TOO_MANY_PIXELS, detail)
    if max(width, height) > limits.max_aspect_ratio * max(1, min(width, height)):
        detail = f"{width} x {height} exceeds the aspect-ratio limit of {limits.max_aspect_ratio:g}"
        return _rejected(Reason.UNUSABLE_SHAPE, detail)
    return None


def _too_large(data: bytes, kind: str, limits: Limits) -> Rejected | None:
    """Return the rejection of a file that its decoder refuses for its size, with an error that says something else."""
    pixels = count_pixels(data, kind) if kind in ("AVIF", "HEIC") else None
    if pixels is None or pixels <= limits.max_pixels:
        return None
    return _rejected(Reason.TOO_MANY_PIXELS, f"{pixels} pixels exceed the limit of {limits.max_pixels}")


def _corrupt(data: bytes, kind: str, error: Exception) -> Rejected:
    if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)):
        return _rejected(Reason.TOO_MANY_PIXELS, "the image needs more memory than the decoder may use")
    if isinstance(error, EndsEarly) or "truncated" in str(error) or ends_early(data, kind):
        return _rejected(Reason.IMAGE_CORRUPT, f"the {kind} data is truncated: the end of the file is missing")
    cause = type(error).__name__
    return _rejected(Reason.IMAGE_CORRUPT, f"the {kind} data is corrupt or uses an unsupported variant: {cause}")


def _rejected(reason: Reason, detail: str) -> Rejected:
    return Rejected(reason, Stage.DECODE, detail)
