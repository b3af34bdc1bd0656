"""Floors follow from bytes, operations and the two ceilings."""

from __future__ import annotations

import pytest

from sightstream.infra.lab.bench.engine.cost_model import MllamaShape, decode_weight_bytes, prefill_flops, shape_of
from sightstream.infra.lab.bench.engine.floors import (
    Ceilings,
    Load,
    Storage,
    decode_step_bytes,
    decode_step_floor_s,
    image_floor,
)
from sightstream.infra.lab.bench.engine.shapes import mllama_config

H100 = Ceilings(3.0e12, 800e12)


@pytest.fixture(scope="module")
def shape() -> MllamaShape:
    return shape_of(mllama_config("11b", {"begin": 1, "padding": 2, "image": 3, "end": 4}))


def test_a_step_reads_the_weights_once_and_every_slots_keys_and_values(shape: MllamaShape) -> None:
    none = decode_step_bytes(shape, Storage(), Load(0, 4, 100))
    assert none == decode_weight_bytes(shape)
    one = decode_step_bytes(shape, Storage(), Load(1, 4, 100)) - none
    assert one == 4 * 8 * 2 * 1601 * 1024 * 2 + 100 * 128 * 1024
    assert decode_step_bytes(shape, Storage(), Load(7, 4, 100)) - none == pytest.approx(7 * one)


def test_fp8_keys_and_values_of_images_are_half(shape: MllamaShape) -> None:
    full = decode_step_bytes(shape, Storage(), Load(128, 4, 0)) - decode_weight_bytes(shape)
    half = decode_step_bytes(shape, Storage(cross=1), Load(128, 4, 0)) - decode_weight_bytes(shape)
    assert half == full / 2


def test_the_floor_of_128_slots_on_an_h100(shape: MllamaShape) -> None:
    floor = decode_step_floor_s(shape, Storage(), Load(128, 4, 168), H100)
    assert floor * 1e3 == pytest.approx(16.0, abs=0.3)


def test_an_image_is_bound_by_both_or_by_the_larger(shape: MllamaShape) -> None:
    load = Load(128, 4, 168)
    floor = image_floor(shape, Storage(), load, H100, prompt_tokens=40, new_tokens=256)
    assert floor.arithmetic_s == prefill_flops(shape, 40) / H100.flops_per_s
    assert floor.memory_s == pytest.approx(256 * decode_step_floor_s(shape, Storage(), load, H100) / 128)
    assert floor.serial_s == floor.arithmetic_s + floor.memory_s
    assert floor.overlapped_s == max(floor.arithmetic_s, floor.memory_s)
