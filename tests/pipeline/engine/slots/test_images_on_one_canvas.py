"""Several images on one canvas, as the embedded model sees them: each of them, and where it stands."""

from __future__ import annotations

import dataclasses

import pytest
from PIL import Image

from sightstream.pipeline.decode.grid import compose
from sightstream.pipeline.decode.tiles import Tiling, to_tiles
from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.generate import GenerateEngine
from sightstream.pipeline.engine.slots.engine import SlotEngine
from sightstream.pipeline.types import Canvas, EngineJob, Pixels
from tests.pipeline.engine.slots.asking import SIDE, answers, demo_image, job, slot_settings

pytestmark = pytest.mark.slow

ONE_TILE = Tiling(SIDE, 1)
BLACK = Pixels(bytes(SIDE * SIDE * 3), SIDE, SIDE, "PNG")
QUESTION = "Describe the product in the picture: its colour, its pattern, how many there are."


def single(pixels: Pixels) -> Canvas:
    return to_tiles(pixels, ONE_TILE)


def asked(number: int, images: list[Pixels]) -> EngineJob:
    canvas = compose([single(each) for each in images])
    return dataclasses.replace(job(number, question=QUESTION, max_tokens=60), pixels=canvas)


def texts(checkpoint: Checkpoint, *sets: list[Pixels]) -> list[str]:
    engine = SlotEngine(checkpoint, slot_settings(), lambda: None)
    found = answers(engine, [asked(number, images) for number, images in enumerate(sets)])
    return [found[number].text for number in range(len(sets))]


def test_each_image_is_seen_and_where_it_stands(checkpoint: Checkpoint) -> None:
    """In some of three products the order changes the answer, and so does the loss of the image at each place."""
    changed = [False] * 5
    for seed in (10, 20, 30):
        images = [demo_image(seed + number) for number in range(4)]
        swapped = [images[1], images[0], *images[2:]]
        without = [[*images[:at], BLACK, *images[at + 1 :]] for at in range(4)]
        right, *others = texts(checkpoint, images, swapped, *without)
        changed = [before or text != right for before, text in zip(changed, others, strict=True)]
    assert changed == [True] * 5


@pytest.mark.parametrize("count", [2, 4])
def test_they_are_answered_as_one_image_that_shows_them_all(
    checkpoint: Checkpoint, stock: Checkpoint, count: int
) -> None:
    """Stock generate() cuts that image into the same tiles, and numbers their arrangement itself."""
    images = [demo_image(number, (SIDE, SIDE)) for number in range(count)]
    whole = Image.new("RGB", (2 * SIDE, count // 2 * SIDE))
    for at, each in enumerate(images):
        whole.paste(Image.frombytes("RGB", (SIDE, SIDE), each.buffer()), (at % 2 * SIDE, at // 2 * SIDE))
    pixels = Pixels(whole.tobytes(), *whole.size, "PNG")
    generate = GenerateEngine(stock, slot_settings(kind="generate"), lambda: None)
    together = answers(SlotEngine(checkpoint, slot_settings(), lambda: None), [asked(0, images)])
    assert together == answers(generate, [job(0, pixels, QUESTION, max_tokens=60)])
