"""Requests about several images: which of them an error is about, and how they come before the engine together.

An engine with tiles gets them on one canvas, a tile for each; one without gets them one by one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from sightstream.pipeline.decode.grid import compose
from sightstream.pipeline.decode.tiles import fitted_size
from sightstream.pipeline.errors import CapabilityMissing, Rejected, Retryable
from sightstream.pipeline.stages import DecodeStage, ServerBusy
from sightstream.pipeline.types import Canvas, FetchedImage, Pixels, SeenFile
from sightstream.schemas.wire.request import MAX_IMAGES, Detail, ImageRequest

# So many requests decode several images at once. Each holds the memory of some while it waits for that of the next:
# together they need far less than a decoder has, so one of them always goes on.
MAX_AT_ONCE = 512 // MAX_IMAGES

_permits = threading.BoundedSemaphore(MAX_AT_ONCE)


def check_image_count(request: ImageRequest, limit: int) -> None:
    """Raise CapabilityMissing for more images than the engine sees in one question."""
    count = len(request.all_images)
    if count > limit:
        raise CapabilityMissing("images", f"it sees {limit} at most in one question, and the request has {count}")


@contextmanager
def about_image(request: ImageRequest, number: int) -> Iterator[None]:
    """Let errors say which of several images they are about."""
    try:
        yield
    except (ServerBusy, CapabilityMissing):
        raise
    except (Rejected, Retryable) as error:
        if len(request.all_images) == 1:
            raise
        raise _with_subject(error, f"images[{number}]") from error


def _with_subject(error: Rejected | Retryable, subject: str) -> Rejected | Retryable:
    detail = f"{subject}: {error}"
    if isinstance(error, Rejected):
        return Rejected(error.reason, error.stage, detail)
    return Retryable(error.stage, detail, error.dependency, error.otherwise)


@dataclass(frozen=True, slots=True)
class DecodedImages:
    """What the engine gets, and what to say of each image. Of the former, the decoder must get back `decoded`.

    `detail` is what the engine is asked for: what is low was decoded onto one tile, where the engine has tiles.
    """

    pixels: tuple[Pixels | Canvas, ...]
    files: tuple[SeenFile, ...]
    decoded: tuple[Pixels | Canvas, ...]
    detail: Detail = "high"

    @property
    def size_bytes(self) -> int:
        return sum(len(each.rgb) for each in self.pixels)


def decode_images(decoder: DecodeStage, request: ImageRequest, images: Sequence[FetchedImage]) -> DecodedImages:
    """Decode the images of one request. Blocks. Raises Retryable or Rejected."""
    if len(images) > 1:
        with _permits:
            return _decode_several(decoder, request, images)
    pixels = decoder.decode(images[0].data, 1 if request.detail == "low" else None)
    detail = _detail(request.detail, pixels)
    return DecodedImages((pixels,), (_seen_file(images[0], pixels, detail),), (pixels,), detail)


def _detail(asked: Detail, pixels: Pixels | Canvas) -> Detail:
    """Decide "auto" where the tiles are ours: an image that one tile holds in full loses nothing."""
    if asked == "auto" and isinstance(pixels, Canvas):
        return "low" if max(pixels.width, pixels.height) <= pixels.side else "high"
    return asked


def _decode_several(decoder: DecodeStage, request: ImageRequest, images: Sequence[FetchedImage]) -> DecodedImages:
    decoded: list[Pixels] = []
    canvases: list[Canvas] = []
    files: list[SeenFile] = []
    try:
        for number, image in enumerate(images):
            with about_image(request, number):
                pixels = decoder.decode(image.data, 1)
            if isinstance(pixels, Pixels):
                decoded.append(pixels)
            else:
                canvases.append(_copy(decoder, pixels))
            # On a canvas together they are never computed alone, whatever was asked for.
            files.append(_seen_file(image, pixels, "high" if canvases else request.detail))
        seen = (compose(canvases),) if canvases else tuple(decoded)
    except BaseException:
        for each in decoded:
            decoder.release(each)
        raise
    return DecodedImages(seen, tuple(files), tuple(decoded), "high" if canvases else request.detail)


def _copy(decoder: DecodeStage, canvas: Canvas) -> Canvas:
    """Return a tile of its own: however little memory the decoder has, one image after the other fits."""
    try:
        return replace(canvas, rgb=bytes(canvas.buffer()))
    finally:
        decoder.release(canvas)


def _seen_file(image: FetchedImage, pixels: Pixels | Canvas, detail: Detail) -> SeenFile:
    seen: Literal["high", "low"] = "low" if detail == "low" else "high"
    size = (pixels.width, pixels.height)
    return SeenFile(len(image.data), pixels.format, *size, _seen_size(pixels), pixels.is_truncated, seen)


def _seen_size(pixels: Pixels | Canvas) -> tuple[int, int] | None:
    if isinstance(pixels, Pixels):
        return None
    canvas_width, canvas_height = pixels.columns * pixels.side, pixels.rows * pixels.side
    return fitted_size(pixels.width, pixels.height, canvas_width, canvas_height, pixels.side)
