"""One tile alone: what stock generate() says of the same model when it is configured for one tile at most."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
import torch
from transformers import MllamaForConditionalGeneration

from sightstream.pipeline.decode.tiles import Tiling, to_tiles
from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.generate import GenerateEngine
from sightstream.pipeline.engine.slots.engine import SlotEngine
from sightstream.pipeline.engine.slots.vision import VisionEncoder
from sightstream.pipeline.types import Canvas, EngineJob, Pixels
from tests.pipeline.engine.slots.asking import SIDE, answers, demo_image, image_of_tiles, job, slot_settings

pytestmark = pytest.mark.slow

ONE_TILE = Tiling(SIDE, 1)
SIZES = [(SIDE, SIDE), (640, 480), (200, 40), (61, 333), (50, 60)]
QUESTIONS = ["What is it?", "How many are there?", "My aunt would like to know: what colour is it, please? " * 5]


@pytest.fixture(scope="module")
def configured(stock: Checkpoint) -> Checkpoint:
    """The embedded model as stock, with another configuration and the embeddings that this leaves."""
    config, processor = copy.deepcopy(stock.model.config), copy.deepcopy(stock.processor)
    config.vision_config.max_num_tiles = 1
    config.vision_config.supported_aspect_ratios = [[1, 1]]
    processor.image_processor.max_image_tiles = 1
    model = MllamaForConditionalGeneration._from_config(config, dtype=torch.float32)
    wanted = model.state_dict()
    weights = {name: _fitting(weight, wanted[name]) for name, weight in stock.model.state_dict().items()}
    model.load_state_dict(weights)
    model.generation_config = stock.model.generation_config
    return dataclasses.replace(stock, model=model.eval(), processor=processor)


def _fitting(weight: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The first tile of the first two arrangements; [arrangements, tiles x ...] in the order of the numbers."""
    if weight.shape == like.shape:
        return weight
    return weight.reshape(weight.shape[0], 4, -1)[:2, 0]


def low(number: int, **changes: Any) -> EngineJob:
    pixels = demo_image(number, SIZES[number % len(SIZES)])
    asked = job(number, pixels, QUESTIONS[number % len(QUESTIONS)], max_tokens=40)
    return dataclasses.replace(asked, detail="low", **changes)


JOBS = [low(number) for number in range(10)]


@pytest.fixture(scope="module")
def expected(configured: Checkpoint) -> dict[int, Any]:
    engine = GenerateEngine(configured, slot_settings(kind="generate", max_batch=1), lambda: None)
    return dict(answers(engine, [dataclasses.replace(each, detail="high") for each in JOBS]))  # it knows no other


def canvas_of(asked: EngineJob) -> EngineJob:
    assert isinstance(asked.pixels, Pixels)
    return dataclasses.replace(asked, pixels=to_tiles(asked.pixels, ONE_TILE))


def test_every_answer_is_that_of_generate_with_one_tile(checkpoint: Checkpoint, expected: dict[int, Any]) -> None:
    assert len({answer.text for answer in expected.values()}) > 5
    engine = SlotEngine(checkpoint, slot_settings(max_batch=3), lambda: None)
    assert answers(engine, [canvas_of(each) for each in JOBS], [number * 5 % 7 for number in range(10)]) == expected


def test_pixels_are_fitted_into_one_tile(checkpoint: Checkpoint, expected: dict[int, Any]) -> None:
    assert answers(SlotEngine(checkpoint, slot_settings(), lambda: None), JOBS) == expected


def test_beside_jobs_of_full_detail_about_the_same_image(checkpoint: Checkpoint, expected: dict[int, Any]) -> None:
    """Neither gets the other's numbers, although the keys are equal, and each is encoded once."""
    pairs = [canvas_of(dataclasses.replace(each, image_key=f"image {each.id}")) for each in JOBS[:4]]
    high = [dataclasses.replace(each, id=100 + each.id, detail="high") for each in pairs]
    alone = answers(SlotEngine(checkpoint, slot_settings(), lambda: None), high)
    engine = SlotEngine(checkpoint, slot_settings(max_batch=8), lambda: None)
    found = answers(engine, [each for pair in zip(pairs, high, strict=True) for each in pair])
    assert found == alone | {each.id: expected[each.id] for each in pairs}
    engine._scheduler.check_integrity()


def test_the_states_are_other_numbers_than_with_padding_and_close(checkpoint: Checkpoint) -> None:
    encoder = VisionEncoder(checkpoint)
    canvas = to_tiles(image_of_tiles(3), ONE_TILE)
    with torch.inference_mode():
        padded, alone = encoder.encode(canvas)[0], encoder.encode(canvas, alone=True)
    assert alone.shape == (1, *padded.shape)
    assert not torch.allclose(alone[0], padded, atol=1e-4)
    assert torch.nn.functional.cosine_similarity(alone[0], padded, dim=-1).mean() > 0.8


def test_it_holds_one_page_instead_of_four(checkpoint: Checkpoint) -> None:
    engine = SlotEngine(checkpoint, slot_settings(max_batch=2), lambda: None)
    free = len(engine._scheduler.tiles)
    engine.submit(canvas_of(JOBS[0]))
    engine.finished(0)
    assert len(engine._scheduler.tiles) == free - 1
    engine.submit(dataclasses.replace(canvas_of(JOBS[1]), detail="high"))
    engine.finished(0)
    assert len(engine._scheduler.tiles) == free - 1 - 4


def test_a_canvas_of_several_tiles_is_computed_with_all_of_them(checkpoint: Checkpoint, stock: Checkpoint) -> None:
    asked = job(1, image_of_tiles(1, 1, 2))
    assert isinstance(asked.pixels, Pixels)
    wide = dataclasses.replace(asked, pixels=to_tiles(asked.pixels, Tiling(SIDE, 4)), detail="low")
    assert isinstance(wide.pixels, Canvas)
    expected = answers(GenerateEngine(stock, slot_settings(kind="generate"), lambda: None), [asked])
    assert answers(SlotEngine(checkpoint, slot_settings(), lambda: None), [wide]) == expected
