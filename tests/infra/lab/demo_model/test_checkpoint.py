"""The checkpoint in the repository: stock transformers loads it, and it answers."""

import json
import random
from typing import Any

import pytest
from PIL import Image

from sightstream.infra.lab.demo_model.evaluate import evaluate
from sightstream.infra.lab.demo_model.export import CHECKPOINT
from sightstream.infra.lab.demo_model.grading import Asker
from sightstream.infra.lab.demo_model.pictures import draw, sample_spec
from sightstream.infra.lab.demo_model.tiles import ARRANGEMENTS, cut_tiles
from sightstream.infra.lab.demo_model.tokenizer import prompt_text

pytestmark = pytest.mark.slow

CONVERSATION = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}]


@pytest.fixture(scope="module")
def processor() -> Any:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(CHECKPOINT, local_files_only=True)


def test_weights_are_small_and_safetensors_only() -> None:
    names = {path.name for path in CHECKPOINT.iterdir()}
    assert names == {
        "canary.txt",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "processor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert (CHECKPOINT / "model.safetensors").stat().st_size <= 8_000_000


def test_the_configuration_is_mllamas() -> None:
    config = json.loads((CHECKPOINT / "config.json").read_text())
    assert config["architectures"] == ["MllamaForConditionalGeneration"]
    assert config["image_token_index"] == config["text_config"]["vocab_size"]  # as in the published checkpoints


def test_the_chat_template_writes_what_training_saw(processor: Any) -> None:
    text = processor.apply_chat_template(CONVERSATION, add_generation_prompt=True)
    assert text == prompt_text("What is it?")
    ids = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert ids[0] == processor.tokenizer.bos_token_id
    assert ids.count(processor.image_token_id) == 1
    assert ids.count(processor.tokenizer.bos_token_id) == 1


def test_tokens_survive_and_tags_are_ordinary_text(processor: Any) -> None:
    text = "<SUMMARY>Crème brûlée 你好 $199.99</SUMMARY>"
    ids = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert processor.tokenizer.decode(ids, skip_special_tokens=True) == text


def test_training_cuts_tiles_as_the_processor_does(processor: Any) -> None:
    import numpy as np

    rng = random.Random(8)
    sizes = [(100, 90), (128, 128), (60, 200), (500, 170), (170, 500), (300, 299), (1200, 80), (90, 1100)]
    mean, std = (
        np.array(getattr(processor.image_processor, name))[:, None, None] for name in ("image_mean", "image_std")
    )
    for size in sizes:
        picture = draw(sample_spec(rng)).resize(size, Image.Resampling.BILINEAR)
        expected = processor.image_processor(images=picture, return_tensors="np")
        tiles, aspect = cut_tiles(picture)
        assert aspect == expected["aspect_ratio_ids"][0, 0]
        own = int(np.prod(ARRANGEMENTS[aspect - 1]))
        pixels = (tiles / 255 - mean) / std
        pixels[own:] = 0
        assert np.abs(pixels - expected["pixel_values"][0, 0]).max() < 0.05


def test_held_out_pictures_are_answered() -> None:
    result = evaluate(Asker(CHECKPOINT, batch=14), seed=424_242, images=28, brief=True)
    for key in ("kind", "colour", "pattern", "count", "price", "damage", "sections"):
        assert result[key] >= 0.9, result
