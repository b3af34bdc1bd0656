"""Degrading is repeatable, and harder the more severe it is."""

import random

import numpy as np
import pytest
from PIL import Image

from sightstream.infra.lab.demo_model.degrade import CHANGES, degrade
from sightstream.infra.lab.demo_model.pictures import draw, sample_spec


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return draw(sample_spec(random.Random(12)))


def test_the_same_seed_gives_the_same_picture(picture: Image.Image) -> None:
    first, again, other = (degrade(random.Random(seed), picture) for seed in (5, 5, 6))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


@pytest.mark.parametrize("name", CHANGES)
def test_a_severe_change_loses_more_than_a_mild_one(name: str, picture: Image.Image) -> None:
    def lost(severity: float) -> float:
        changed = CHANGES[name](random.Random(1), picture, severity).resize(picture.size)
        return float(np.abs(np.asarray(changed, float) - np.asarray(picture, float)).mean())

    assert 0 < lost(0.0) < lost(1.0)


def test_the_smallest_has_48_pixels(picture: Image.Image) -> None:
    assert max(CHANGES["shrink"](random.Random(1), picture, 1.0).size) == 48


def test_what_is_small_already_is_not_enlarged() -> None:
    small = Image.new("RGB", (40, 30))
    assert CHANGES["shrink"](random.Random(1), small, 1.0) is small
