"""The cost model, held against the published 11B shape and against transformers' own modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import MllamaForConditionalGeneration

from sightstream.infra.lab.bench.engine.cost_model import (
    cross_kv_bytes_per_tile,
    decode_weight_bytes,
    encode_flops,
    parameters,
    prefill_flops,
    self_kv_bytes_per_token,
    shape_of,
    vision_flops,
)
from sightstream.infra.lab.bench.engine.shapes import mllama_config

pytestmark = pytest.mark.slow

SPECIAL = {"begin": 840, "padding": 842, "image": 848, "end": 1023}


@pytest.fixture(scope="module")
def real() -> Any:
    """The 11B model, without values."""
    with torch.device("meta"):
        return MllamaForConditionalGeneration(mllama_config("11b", SPECIAL | {"end": 128_255}))


def size(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_are_those_of_the_11b_model(real: Any) -> None:
    counted = parameters(shape_of(real.config))
    text = real.model.language_model
    cross = [layer for layer in text.layers if hasattr(layer, "cross_attn")]
    assert counted["total"] == pytest.approx(size(real), rel=1e-4)
    assert counted["vision"] == pytest.approx(size(real.model.vision_model), rel=1e-3)
    assert counted["projector"] == size(real.model.multi_modal_projector)
    assert counted["embedding"] == size(text.embed_tokens)
    assert counted["lm_head"] == size(real.lm_head)
    assert counted["cross_attention_layers"] == pytest.approx(sum(map(size, cross)), rel=1e-4)
    assert len(cross) == 8
    in_billions = {part: round(count / 1e9, 3) for part, count in counted.items()}
    assert in_billions == {
        "vision": 0.863,
        "projector": 0.031,
        "self_attention_layers": 6.979,
        "cross_attention_layers": 1.745,
        "embedding": 0.525,
        "lm_head": 0.525,
        "total": 10.669,
    }


def test_bytes_of_a_decoding_step(real: Any) -> None:
    shape = shape_of(real.config)
    assert decode_weight_bytes(shape) / 1e9 == pytest.approx(18.4, abs=0.05)
    assert cross_kv_bytes_per_tile(shape) / 1e6 == pytest.approx(52.5, abs=0.05)
    assert self_kv_bytes_per_token(shape) == 128 * 1024


def test_quantized_weights_are_smaller_but_for_lm_head(real: Any) -> None:
    shape = shape_of(real.config)
    head = 2 * parameters(shape)["lm_head"]
    layers = decode_weight_bytes(shape) - head
    assert decode_weight_bytes(shape, "fp8") == layers / 2 + head
    assert decode_weight_bytes(shape, "int8") == layers / 2 + head
    assert decode_weight_bytes(shape, "nf4") == layers / 2 * (0.5 + 1 / 64) + head
    assert decode_weight_bytes(shape, "none", full=4) == 2 * (layers + head)


@pytest.mark.parametrize("scale", ["11b", "small"])
def test_vision_operations_are_what_the_tower_does(scale: Any) -> None:
    config = mllama_config(scale, SPECIAL | {"end": 128_255 if scale == "11b" else 1023})
    side = config.vision_config.image_size
    with torch.device("meta"):
        model = MllamaForConditionalGeneration(config).model
        pixels = torch.zeros(1, 1, 4, 3, side, side)
        ratio, there = torch.tensor([[6]]), torch.ones(1, 1, 4, dtype=torch.long)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            seen = model.vision_model(pixel_values=pixels, aspect_ratio_ids=ratio, aspect_ratio_mask=there)
        mask = 2 * (4 * shape_of(config).padded_tile_tokens) ** 2  # who attends to whom is made by a product, too
        tower = counter.get_total_flops() - mask
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model.multi_modal_projector(seen.last_hidden_state)
    assert vision_flops(shape_of(config)) == tower
    assert encode_flops(shape_of(config)) == tower + counter.get_total_flops()


def test_operations_of_an_11b_image(real: Any) -> None:
    shape = shape_of(real.config)
    assert vision_flops(shape) / 1e12 == pytest.approx(18.60, abs=0.01)
    assert encode_flops(shape) / 1e12 == pytest.approx(19.00, abs=0.01)
    assert prefill_flops(shape, 0) / 1e12 == pytest.approx(19.86, abs=0.01)
    assert prefill_flops(shape, 41) - prefill_flops(shape, 40) == pytest.approx(2 * 8.66e9, rel=0.01)
