"""A canvas equals the input of transformers' own image processor, except for how Pillow and torch round.

Where the image is scaled, 1 value in 50 differs by one grey level at most; in noise about 1 in 10^8 differs by two.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.models.mllama.image_processing_mllama import MllamaImageProcessor

from sightstream.pipeline.decode.tiles import (
    BICUBIC,
    BILINEAR,
    Tiling,
    arrangements,
    aspect_ratio_id,
    best_arrangement,
    fitted_size,
    image_to_tiles,
    to_tiles,
)
from sightstream.pipeline.types import Canvas, Pixels

pytestmark = pytest.mark.slow

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
TINY, LLAMA = Tiling(128, 4), Tiling(560, 4)
NOISE = np.random.default_rng(5).integers(0, 256, (1400, 1400, 3), dtype=np.uint8)
PHOTOS = ["astronaut", "chelsea", "coffee", "rocket", "camera"]


@cache
def processor(tiling: Tiling) -> Any:
    return MllamaImageProcessor(
        size={"height": tiling.side, "width": tiling.side},
        max_image_tiles=tiling.max_tiles,
        resample=tiling.resample,
        image_mean=list(MEAN),
        image_std=list(STD),
    )


def normalised(canvas: Canvas, max_tiles: int) -> torch.Tensor:
    """Return [max_tiles, 3, side, side], as the engine computes it."""
    side = canvas.side
    rgb = torch.from_numpy(np.frombuffer(canvas.buffer(), np.uint8).copy())
    tiles = rgb.view(canvas.rows, side, canvas.columns, side, 3).permute(0, 2, 4, 1, 3).reshape(-1, 3, side, side)
    values = torch.zeros(max_tiles, 3, side, side)
    values[: len(tiles)] = (tiles / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    return values


def assert_equals_processor(image: Image.Image, tiling: Tiling, grey_levels: int, rare: int = 0) -> None:
    """Allow a difference of `grey_levels`, and of `rare` more for 1 value in 10,000."""
    canvas = image_to_tiles(image, "PNG", tiling)
    theirs = processor(tiling)(images=[[image]], return_tensors="pt", input_data_format="channels_first")
    assert theirs["aspect_ratio_ids"].item() == aspect_ratio_id(canvas.rows, canvas.columns, tiling.max_tiles)
    tiles = canvas.rows * canvas.columns
    assert theirs["aspect_ratio_mask"].flatten().tolist() == [1] * tiles + [0] * (tiling.max_tiles - tiles)
    difference = (normalised(canvas, tiling.max_tiles) - theirs["pixel_values"][0, 0]).abs()
    assert torch.all(difference[tiles:] == 0)
    levels = (difference * 255 * torch.tensor(STD).view(3, 1, 1)).round()
    assert levels.max() <= grey_levels + rare, image.size
    assert (levels > grey_levels).float().mean() < 1e-4, image.size


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(NOISE[:height, :width]))


def photo(name: str) -> Image.Image:
    return Image.fromarray(getattr(skimage.data, name)()).convert("RGB")


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700), st.sampled_from([TINY, Tiling(128, 1), Tiling(96, 6)]))
def test_any_size_of_the_hardest_image(width: int, height: int, tiling: Tiling) -> None:
    assert_equals_processor(noise(width, height), tiling, 1, rare=1)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 1400), st.integers(1, 1400))
def test_any_size_in_the_tiles_of_the_real_model(width: int, height: int) -> None:
    assert_equals_processor(noise(width, height), LLAMA, 1, rare=1)


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("tiling", [TINY, LLAMA], ids=["128", "560"])
def test_photographs(name: str, tiling: Tiling) -> None:
    for size in (None, (1600, 900), (500, 1100), (1000, 240), (90, 300)):
        image = photo(name)
        assert_equals_processor(image if size is None else image.resize(size), tiling, 1)


@pytest.mark.parametrize("name", PHOTOS)
def test_the_other_filter(name: str) -> None:
    """The bicubic filters of the two libraries differ by up to 2 grey levels in photographs."""
    assert_equals_processor(photo(name), Tiling(128, 4, BICUBIC), 2)


@pytest.mark.parametrize("rows_columns", [(1, 1), (1, 2), (2, 1), (2, 2), (1, 4), (4, 1), (3, 1)])
@pytest.mark.parametrize("tiling", [TINY, LLAMA], ids=["128", "560"])
def test_an_image_that_needs_no_scaling_is_unchanged_to_the_bit(rows_columns: tuple[int, int], tiling: Tiling) -> None:
    rows, columns = rows_columns
    image = Image.fromarray(np.resize(NOISE, (rows * tiling.side, columns * tiling.side, 3)))
    canvas = image_to_tiles(image, "PNG", tiling)
    assert (canvas.rows, canvas.columns, canvas.rgb) == (rows, columns, image.tobytes())
    assert_equals_processor(image, tiling, 0)


def test_all_arrangements_and_sizes_agree_with_the_processor() -> None:
    from transformers.models.mllama.image_processing_mllama import (
        get_image_size_fit_to_canvas,
        get_optimal_tiled_canvas,
    )

    for width in range(1, 3000, 37):
        for height in range(1, 3000, 41):
            rows, columns = best_arrangement(width, height, LLAMA)
            canvas = (rows * 560, columns * 560)
            assert get_optimal_tiled_canvas(height, width, 4, 560) == canvas
            theirs = get_image_size_fit_to_canvas(height, width, *canvas, 560)
            assert fitted_size(width, height, canvas[1], canvas[0], 560) == (theirs[1], theirs[0])


def test_a_wide_image_is_in_one_row_at_the_top_left_on_black() -> None:
    canvas = to_tiles(Pixels(b"\xff" * (200 * 60 * 3), 200, 60, "JPEG"), TINY)
    assert (canvas.rows, canvas.columns, canvas.side) == (1, 2, 128)
    assert (canvas.width, canvas.height, canvas.format) == (200, 60, "JPEG")
    rgb = np.frombuffer(canvas.buffer(), np.uint8).reshape(128, 256, 3)
    assert np.all(rgb[:60, :200] == 255)
    assert not rgb[128 - 20 :].any()


def test_pixels_and_an_image_give_the_same_canvas() -> None:
    image = photo("coffee")
    pixels = Pixels(image.tobytes(), image.width, image.height, "PNG")
    assert to_tiles(pixels, TINY) == image_to_tiles(image, "PNG", TINY)


def test_the_size_of_the_largest_canvas_is_known() -> None:
    sizes = [len(image_to_tiles(noise(*size), "PNG", TINY).buffer()) for size in ((1400, 300), (700, 700), (10, 10))]
    assert max(sizes) == TINY.canvas_bytes
    assert BILINEAR == TINY.resample == 2


def test_arrangements_are_numbered_as_the_model_numbers_them() -> None:
    assert arrangements(4) == ((1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2), (3, 1), (4, 1))
    assert [aspect_ratio_id(rows, columns, 4) for rows, columns in arrangements(4)] == list(range(1, 9))
