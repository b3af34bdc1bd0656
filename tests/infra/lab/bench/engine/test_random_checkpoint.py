"""Drawn weights make a model that works like a loaded one: right buffers, open gates, answers of the asked length."""

from __future__ import annotations

import io
from collections import Counter
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import MllamaForConditionalGeneration

from sightstream.infra.lab.bench.engine.engines import build_engine_for
from sightstream.infra.lab.bench.engine.options import Allowance
from sightstream.infra.lab.bench.engine.photographs import photograph, photographs
from sightstream.infra.lab.bench.engine.random_checkpoint import GATE, random_checkpoint
from sightstream.infra.lab.bench.engine.shapes import mllama_config
from sightstream.infra.lab.bench.engine.stock_loop import StockLoop
from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.types import Completion, EngineJob, Pixels
from sightstream.schemas.wire.options import AnalysisOptions

pytestmark = pytest.mark.slow

ON_CPU = EngineSettings(device="cpu", guided_sections=False, max_batch=2)


@pytest.fixture(scope="module")
def plain() -> Checkpoint:
    return random_checkpoint(ON_CPU, "small")


def linear_layers(checkpoint: Checkpoint) -> dict[str, Counter[str]]:
    """Kinds of linear layers under the vision tower, the text model and elsewhere."""
    found: dict[str, Counter[str]] = {"vision": Counter(), "text": Counter(), "rest": Counter()}
    for name, module in checkpoint.model.named_modules():
        if "Linear" in type(module).__name__:
            part = "vision" if "vision_model" in name else "text" if "language_model" in name else "rest"
            found[part][type(module).__name__] += 1
    return found


def test_the_same_weights_are_drawn_again(plain: Checkpoint) -> None:
    again = random_checkpoint(ON_CPU, "small").model.state_dict()
    drawn = plain.model.state_dict()
    assert drawn.keys() == again.keys()
    assert all(torch.equal(drawn[name], again[name]) for name in drawn)


def test_norms_are_one_gates_open_biases_zero(plain: Checkpoint) -> None:
    for name, weight in plain.model.named_parameters():
        if "gate" in name and weight.numel() == 1:
            assert weight.item() == GATE, name
        elif name.endswith("bias"):
            assert not weight.any(), name
        elif "norm" in name:
            assert weight.eq(1).all(), name
        elif not name.startswith("lm_head"):
            assert 0.015 < weight.std().item() < 0.025, name


def test_frequencies_are_those_of_a_model_made_in_the_usual_way(plain: Checkpoint) -> None:
    usual = MllamaForConditionalGeneration(mllama_config("small", {"begin": 0, "padding": 1, "image": 2, "end": 3}))
    ours, theirs = (dict(model.named_buffers()) for model in (plain.model, usual))
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name
        assert ours[name].dtype == torch.float32


def test_in_bfloat16_frequencies_stay_float32() -> None:
    model = random_checkpoint(ON_CPU.model_copy(update={"dtype": "bfloat16"}), "small").model
    assert {buffer.dtype for buffer in model.buffers()} == {torch.float32}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_the_real_shape_is_the_published_one() -> None:
    config = mllama_config("11b", {"begin": 0, "padding": 1, "image": 2, "end": 3})
    assert config.text_config.cross_attention_layers == [3, 8, 13, 18, 23, 28, 33, 38]
    assert config.vision_config.vision_output_dim == config.vision_config.hidden_size * 6
    assert config.text_config.rope_parameters["rope_type"] == "llama3"
    assert config.text_config.rope_parameters["rope_theta"] == 500_000


def test_special_tokens_fit_model_tokenizer_and_processor(plain: Checkpoint) -> None:
    config, tokenizer = plain.model.config, plain.processor.tokenizer
    assert config.image_token_index == tokenizer.convert_tokens_to_ids("<|image|>")
    assert config.text_config.pad_token_id == tokenizer.pad_token_id
    assert plain.model.generation_config.eos_token_id == [config.text_config.vocab_size - 1]
    assert len(tokenizer) <= config.text_config.vocab_size
    assert tokenizer.padding_side == "left"


def test_the_processor_cuts_into_the_models_tiles(plain: Checkpoint) -> None:
    side = plain.model.config.vision_config.image_size
    for tiles in (1, 2, 4):
        image = Image.open(io.BytesIO(photographs(1, tiles, side)[0]))
        inputs = plain.processor(images=[[image]], text=["<|image|>?"], return_tensors="pt")
        assert inputs["pixel_values"].shape == (1, 1, 4, 3, side, side)
        assert inputs["aspect_ratio_mask"].sum().item() == tiles


def test_photographs_differ_and_repeat() -> None:
    assert photograph(1, 64, 64) == photograph(1, 64, 64)
    assert len(set(photographs(5, 1, 64))) == 5


@pytest.mark.parametrize("kind", ["slots", "generate"])
def test_answers_are_as_long_as_they_are_asked_to_be(kind: Any) -> None:
    settings = ON_CPU.model_copy(update={"kind": kind})
    engine = build_engine_for(random_checkpoint(settings, "small"), settings, lambda: None)
    image = Image.open(io.BytesIO(photograph(1, 112, 112)))
    pixels = Pixels(image.tobytes(), image.width, image.height, "JPEG")
    for number, tokens in enumerate((1, 9, 30)):
        engine.submit(EngineJob(number, pixels, "What?", AnalysisOptions(max_tokens=tokens)))
    found: dict[int, object] = {}
    while len(found) < 3:
        found |= {finished.id: finished.outcome for finished in engine.finished(0)}
    engine.stop()
    said = [found[number] for number in range(3)]
    assert all(isinstance(each, Completion) for each in said)
    assert [each.completion_tokens for each in said if isinstance(each, Completion)] == [1, 9, 30]


def test_nf4_leaves_what_the_pipeline_leaves_in_full() -> None:
    layers = linear_layers(random_checkpoint(ON_CPU.model_copy(update={"quantization": "nf4"}), "small"))
    assert set(layers["text"]) == {"Linear4bit"}
    assert set(layers["vision"]) == set(layers["rest"]) == {"Linear"}


def test_the_tutorials_nf4_leaves_lm_head_alone() -> None:
    checkpoint = random_checkpoint(ON_CPU.model_copy(update={"quantization": "nf4"}), "small", kept_in_full=None)
    layers = linear_layers(checkpoint)
    assert set(layers["text"]) == set(layers["vision"]) == {"Linear4bit"}
    assert layers["rest"] == {"Linear": 1, "Linear4bit": 1}
    assert type(checkpoint.model.lm_head).__name__ == "Linear"


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_quantized_weights_are_those_drawn_in_full(plain: Checkpoint, quantization: Any) -> None:
    """The model says nearly the same: only its precision differs."""
    checkpoint = random_checkpoint(ON_CPU.model_copy(update={"quantization": quantization}), "small")
    image = Image.open(io.BytesIO(photograph(1, 112, 112)))
    logits = []
    for each in (plain, checkpoint):
        inputs = each.processor(images=[[image]], text=["<|image|>What?"], return_tensors="pt")
        with torch.inference_mode():
            logits.append(each.model(**inputs).logits[0, -1].float())
    assert torch.cosine_similarity(logits[0], logits[1], dim=0) > (0.95 if quantization == "nf4" else 0.999)


def test_the_stock_loop_notes_when_each_token_is_there(plain: Checkpoint) -> None:
    clock = iter(range(1000))
    ticking = lambda: float(next(clock))  # noqa: E731
    loop = StockLoop(plain, "What?", ticking)
    run = loop.run([photograph(1, 112, 112)] * 2, 5, Allowance(1e9, lambda: 0.0))
    assert (run.images, run.tokens) == (2, 5)
    assert run.steps == [1, 2, 3, 4, 5]
    assert (run.first_token_s, run.token_s, run.seconds) == (1, 1, 6)
    assert run.seconds_for(8) == 9


def test_the_stock_loop_ends_when_time_is_over(plain: Checkpoint) -> None:
    run = StockLoop(plain, "What?").run([photograph(1, 56, 56)], 50, Allowance(0.0, lambda: 1.0))
    assert run.tokens == 1
    assert run.token_s == 0
