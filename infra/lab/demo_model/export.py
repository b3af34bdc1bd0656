"""From a model in memory to a checkpoint directory that stock transformers loads."""

from pathlib import Path
from typing import Any

from sightstream.infra.lab.demo_model.answers import SEPARATOR
from sightstream.infra.lab.demo_model.architecture import MAX_TILES, PIXEL_MEAN, PIXEL_STD, TILE_SIZE
from sightstream.infra.lab.demo_model.tokenizer import CHAT_TEMPLATE

CHECKPOINT = Path(__file__).parent / "checkpoint"


def build_processor(tokenizer: Any) -> Any:
    """The transformers `MllamaProcessor` that goes with the model."""
    from transformers.models.mllama.image_processing_mllama import MllamaImageProcessor
    from transformers.models.mllama.processing_mllama import MllamaProcessor

    images = MllamaImageProcessor(
        size={"height": TILE_SIZE, "width": TILE_SIZE},
        max_image_tiles=MAX_TILES,
        image_mean=list(PIXEL_MEAN),
        image_std=list(PIXEL_STD),
    )
    return MllamaProcessor(image_processor=images, tokenizer=tokenizer, chat_template=CHAT_TEMPLATE)


def export(model: Any, processor: Any, folder: Path) -> None:
    """Write configuration, weights (bfloat16, safetensors), tokenizer and processor into `folder`."""
    import torch
    from transformers import GenerationConfig

    text = model.config.text_config
    tokenizer = processor.tokenizer
    ends = [tokenizer.convert_tokens_to_ids(token) for token in ("<|eot_id|>", "<|end_of_text|>", "<|eom_id|>")]
    model = model.to(torch.bfloat16)
    model.generation_config = GenerationConfig(
        bos_token_id=text.bos_token_id,
        eos_token_id=ends,
        pad_token_id=text.pad_token_id,
        max_new_tokens=160,
        do_sample=False,
        section_separator=SEPARATOR,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # written for the owner alone otherwise
