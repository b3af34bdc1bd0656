"""Pictures: the same spec gives the same pixels, labels keep their promises, nothing held out is trained on."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightstream.infra.lab.demo_model.pictures import (
    COLOURS,
    DAMAGES,
    KINDS,
    NO_PRODUCT,
    PATTERNS,
    UNKNOWN,
    Labels,
    PictureSpec,
    draw,
    is_held_out,
    sample_spec,
)
from sightstream.infra.lab.demo_model.pictures.photolike import SCENES
from sightstream.infra.lab.demo_model.pictures.spec import Split
from sightstream.infra.lab.demo_model.pictures.things import HELD_OUT, THINGS
from sightstream.infra.lab.demo_model.tiles import ARRANGEMENTS, arrangement_for


def _product(kind: str = "mug", damage: str = "none", count: int = 1, seed: int = 3) -> PictureSpec:
    return PictureSpec(Labels(kind, "red", "striped", count, "$24.99", damage, True), 300, 240, seed)


def test_a_spec_always_gives_the_same_pixels() -> None:
    for split in ("train", "test"):
        specs = [sample_spec(random.Random(5), split) for _ in range(2)]
        assert specs[0] == specs[1]
        assert draw(specs[0]).tobytes() == draw(specs[1]).tobytes()


@given(seed=st.integers(0, 2**32), scale=st.sampled_from([0.4, 0.5, 1.0]))
@settings(max_examples=25, deadline=None)
def test_every_spec_can_be_drawn_at_its_size(seed: int, scale: float) -> None:
    spec = sample_spec(random.Random(seed), "test")
    image = draw(spec, scale)
    assert image.mode == "RGB"
    assert image.size == (round(spec.width * scale), round(spec.height * scale))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_looks_different_from_an_empty_scene(kind: str) -> None:
    with_item = np.asarray(draw(_product(kind)), dtype=int)
    other = np.asarray(draw(_product(KINDS[KINDS.index(kind) - 1])), dtype=int)
    assert (np.abs(with_item - other).sum(axis=2) > 60).mean() > 0.02


@pytest.mark.parametrize("damage", DAMAGES[1:])
def test_damage_changes_the_item_and_little_else(damage: str) -> None:
    whole, hurt = (np.asarray(draw(_product(damage=d)), dtype=int) for d in ("none", damage))
    changed = (np.abs(whole - hurt).sum(axis=2) > 60).mean()
    assert 0.003 < changed < 0.15


@pytest.mark.parametrize("thing", [*SCENES, *THINGS, *HELD_OUT])
def test_unknown_things_are_drawn(thing: str) -> None:
    labels = Labels(UNKNOWN, None, None, 0, None, None, False)
    assert np.asarray(draw(PictureSpec(labels, 200, 160, 1, thing))).std() > 1


def test_the_lists_are_as_rich_as_promised() -> None:
    assert len(set(KINDS)) >= 16
    assert len(COLOURS) == 10
    assert len(PATTERNS) == 4


def test_training_never_shows_a_held_out_combination_or_thing() -> None:
    rng = random.Random(0)
    for _ in range(20_000):
        spec = sample_spec(rng, "train")
        if spec.labels.colour:
            assert not is_held_out(spec.labels.kind, spec.labels.colour, spec.labels.pattern or "")
        assert spec.thing not in HELD_OUT


def test_the_splits_hold_what_they_say() -> None:
    rng = random.Random(1)
    splits: tuple[tuple[Split, bool], ...] = (("seen", False), ("unseen", True))
    for split, expected in splits:
        for _ in range(500):
            labels = sample_spec(rng, split).labels
            assert is_held_out(labels.kind, labels.colour or "", labels.pattern or "") is expected
    held_out = [is_held_out(k, c, p) for k in KINDS for c in COLOURS for p in PATTERNS]
    assert 0.08 < sum(held_out) / len(held_out) < 0.16


def test_one_to_four_tiles_and_every_label_occur() -> None:
    rng = random.Random(2)
    specs = [sample_spec(rng, "test") for _ in range(2000)]
    tiles = {np.prod(arrangement_for(spec.width, spec.height)) for spec in specs}
    assert tiles == {1, 2, 3, 4}
    assert len(ARRANGEMENTS) == 8
    assert {spec.labels.kind for spec in specs} == {*KINDS, NO_PRODUCT, UNKNOWN}
    assert {spec.labels.count for spec in specs} == {0, 1, 2, 3, 4}
    assert {spec.labels.damage for spec in specs} == {*DAMAGES, None}
