"""An image on fewer tiles than it would fill: as the model's own image processor scales it with so many tiles."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.mllama.image_processing_mllama import MllamaImageProcessor

from sightstream.pipeline.decode.decoder import Decoder
from sightstream.pipeline.decode.formats import load_decoders
from sightstream.pipeline.decode.inline import decode, decode_to_canvas
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.tiles import Tiling
from sightstream.pipeline.decode.wire import DecodedImage, ProtocolError, output_bytes
from sightstream.pipeline.errors import Rejected
from sightstream.pipeline.types import Canvas, Pixels

pytestmark = pytest.mark.slow

TILING = Tiling(128, 4)
SETTINGS = DecodeSettings(processes=1, draft=False)
FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"]
SIZES = [(128, 128), (129, 128), (500, 500), (300, 97), (61, 333), (9, 700), (700, 9), (3, 2)]


def picture(width: int, height: int) -> Image.Image:
    noise = np.random.default_rng(width * height).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def file(kind: str, size: tuple[int, int]) -> bytes:
    load_decoders()
    out = io.BytesIO()
    picture(*size).save(out, kind)
    return out.getvalue()


@cache
def processor(max_tiles: int) -> Any:
    return MllamaImageProcessor(
        size={"height": 128, "width": 128}, max_image_tiles=max_tiles, do_normalize=False, do_rescale=False
    )


def reference(pixels: Pixels, max_tiles: int) -> torch.Tensor:
    """Return the processor's tiles [max_tiles, 3, 128, 128] in grey levels."""
    image = Image.frombytes("RGB", (pixels.width, pixels.height), pixels.buffer())
    found = processor(max_tiles)(images=[[image]], return_tensors="pt", input_data_format="channels_first")
    tiles: torch.Tensor = found["pixel_values"][0, 0].float()
    return tiles


def tiles_of(canvas: Canvas, max_tiles: int) -> torch.Tensor:
    rgb = torch.from_numpy(np.frombuffer(canvas.buffer(), np.uint8).copy())
    tiles = rgb.view(canvas.rows, 128, canvas.columns, 128, 3).permute(0, 2, 4, 1, 3).reshape(-1, 3, 128, 128)
    padded = torch.zeros(max_tiles, 3, 128, 128)
    padded[: len(tiles)] = tiles
    return padded


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("max_tiles", [1, 2])
def test_it_equals_the_processor_with_so_many_tiles(kind: str, size: tuple[int, int], max_tiles: int) -> None:
    data = file(kind, size)
    canvas = decode_to_canvas(data, SETTINGS, TILING, max_tiles)
    assert canvas.rows * canvas.columns <= max_tiles
    assert (canvas.width, canvas.height) == size
    difference = (tiles_of(canvas, max_tiles) - reference(decode(data, SETTINGS), max_tiles)).abs()
    assert difference.max() <= 2
    assert (difference > 1).float().mean() < 1e-4


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    """Memory for one canvas: whoever does not give it back stops the next one."""
    decoder = Decoder(SETTINGS, TILING, TILING.canvas_bytes)
    yield decoder
    decoder.stop()


def test_the_child_obeys_each_request_by_itself(decoder: Decoder) -> None:
    for kind in FORMATS:
        data = file(kind, (300, 200))
        for max_tiles in (None, 1, 2, 4, 1, None):
            canvas = decoder.decode(data, max_tiles)
            assert isinstance(canvas, Canvas)
            found = replace(canvas, rgb=bytes(canvas.buffer()))
            decoder.release(canvas)
            assert found == decode_to_canvas(data, SETTINGS, TILING, max_tiles)
    assert decoder._pool.allocated == 0


def test_more_tiles_than_the_model_has_are_not_made(decoder: Decoder) -> None:
    canvas = decoder.decode(file("PNG", (1000, 1000)), 9)
    decoder.release(canvas)
    assert isinstance(canvas, Canvas)
    assert canvas.rows * canvas.columns == 4


def test_a_broken_image_gives_its_memory_back(decoder: Decoder) -> None:
    with pytest.raises(Rejected):
        decoder.decode(file("JPEG", (300, 200))[:400], 1)
    assert decoder._pool.allocated == 0


def test_without_tiles_the_image_stays_as_it_is() -> None:
    decoder = Decoder(SETTINGS)
    data = file("PNG", (300, 200))
    pixels = decoder.decode(data, 1)
    assert isinstance(pixels, Pixels)
    assert replace(pixels, rgb=bytes(pixels.buffer())) == decode(data, SETTINGS)
    decoder.stop()


def test_a_large_jpeg_for_one_tile_is_decoded_at_an_eighth_and_looks_alike() -> None:
    data = file("JPEG", (1800, 1500))
    draft = decode_to_canvas(data, DecodeSettings(), TILING, 1)
    full = decode_to_canvas(data, SETTINGS, TILING, 1)
    assert draft != full
    assert (tiles_of(draft, 1) - tiles_of(full, 1)).abs().mean() < 1


def test_a_child_that_makes_more_tiles_than_it_was_asked_for_breaks_the_protocol() -> None:
    limits = SETTINGS.limits(TILING).with_tiles(1)
    assert output_bytes(DecodedImage(10, 10, "PNG", 1, 1), limits) == 128 * 128 * 3
    with pytest.raises(ProtocolError, match="2 x 2"):
        output_bytes(DecodedImage(10, 10, "PNG", 2, 2), limits)


def test_less_than_one_tile_is_no_tiling() -> None:
    with pytest.raises(ValueError, match="one tile"):
        TILING.at_most(0)
