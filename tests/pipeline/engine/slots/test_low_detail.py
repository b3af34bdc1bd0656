"""Checks that an image of low detail is one tile, computed without the padding that the stock model adds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sightstream.pipeline.decode.tiles import Tiling, to_tiles
from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.slots.engine import SlotEngine
from sightstream.pipeline.engine.slots.vision import VisionEncoder
from sightstream.pipeline.types import EngineJob
from tests.pipeline.engine.slots.asking import SIDE, answers, demo_image, image_of_tiles, job, slot_settings

pytestmark = pytest.mark.slow


def low(asked: EngineJob) -> EngineJob:
    return replace(asked, detail="low")


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The states of every image."""
    right, seen = VisionEncoder._run, list[torch.Tensor]()

    def run(self: VisionEncoder, *args: object) -> torch.Tensor:
        seen.append(right(self, *args))  # type: ignore[arg-type]
        return seen[-1].clone()

    monkeypatch.setattr(VisionEncoder, "_run", run)
    return seen


def engine_of(checkpoint: Checkpoint, **changes: object) -> SlotEngine:
    return SlotEngine(checkpoint, slot_settings(**changes), lambda: None)


def test_only_one_tile_is_computed(checkpoint: Checkpoint, encoded: list[torch.Tensor]) -> None:
    pixels = demo_image(3, (300, 200))
    answers(engine_of(checkpoint), [low(job(1, pixels, max_tokens=3)), job(2, image_of_tiles(1), max_tokens=3)])
    assert [len(states) for states in encoded] == [1, 4]


def test_it_is_near_what_padding_gives_but_not_the_same(checkpoint: Checkpoint, encoded: list[torch.Tensor]) -> None:
    pixels = image_of_tiles(1)
    for asked in (job(1, pixels, max_tokens=3), low(job(2, pixels, max_tokens=3))):
        answers(engine_of(checkpoint), [asked])
    padded, alone = encoded[0][0], encoded[1][0]
    distance = (padded - alone).norm() / padded.norm()
    assert 0 < distance < 0.5


def test_its_company_changes_nothing(checkpoint: Checkpoint) -> None:
    """Also not where pages of tiles were another image's before, whose numbers would show."""
    mixed = [job(n, image_of_tiles(n, 2, 2), max_tokens=30) for n in range(6)]
    mixed = [low(replace(each, pixels=image_of_tiles(each.id))) if each.id % 2 else each for each in mixed]
    alone = {each.id: answers(engine_of(checkpoint), [each])[each.id] for each in mixed}
    engine = engine_of(checkpoint, max_batch=3)
    assert answers(engine, mixed, [2, 0, 5]) == alone
    assert answers(engine, mixed) == alone
    engine._scheduler.check_integrity()


def test_both_details_of_one_image_have_pages_of_their_own(checkpoint: Checkpoint) -> None:
    pixels = image_of_tiles(1)
    jobs = [job(1, pixels, image_key="a"), low(job(2, pixels, image_key="a")), low(job(3, pixels, image_key="a"))]
    expected = {each.id: answers(engine_of(checkpoint), [each])[each.id] for each in jobs}
    assert answers(engine_of(checkpoint), jobs) == expected


def test_pixels_and_a_canvas_of_one_tile_are_the_same(checkpoint: Checkpoint) -> None:
    pixels = demo_image(3, (300, 200))
    canvas = to_tiles(pixels, Tiling(SIDE, 1))
    found = answers(engine_of(checkpoint), [low(job(1, pixels)), low(job(2, canvas))])
    assert found[1] == found[2]
