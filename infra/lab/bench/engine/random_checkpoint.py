"""Makes a model of the real shape with random weights: speed does not depend on their values."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import AutoTokenizer, GenerationConfig, MllamaForConditionalGeneration

from sightstream.infra.lab.bench.engine.large_vocabulary import large_tokenizer
from sightstream.infra.lab.bench.engine.quantized_linear import as_transformers_would, quantized_weight
from sightstream.infra.lab.bench.engine.shapes import Scale, mllama_config
from sightstream.infra.lab.demo_model.architecture import MAX_TILES, PIXEL_MEAN, PIXEL_STD
from sightstream.infra.lab.demo_model.export import CHECKPOINT
from sightstream.infra.lab.demo_model.tokenizer import BEGIN, CHAT_TEMPLATE, IMAGE, PADDING
from sightstream.pipeline.engine.checkpoint import KEPT_IN_FULL, Checkpoint, device_for, dtype_for, precision
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.schemas.wire.result import ModelIdentity

SEED = 0
SPREAD = 0.02
GATE = 0.5  # not 0, or the text would never look at the image


def random_checkpoint(
    settings: EngineSettings, scale: Scale, kept_in_full: list[str] | None = KEPT_IN_FULL
) -> Checkpoint:
    """A model drawn on the device from a fixed seed: seconds, and no more memory than the weights take.

    Tokenizer and prompt are the demo model's, in the 11B shape with as many tokens as the real one has. Answers run to
    their token limit: the only end token is the last of the vocabulary, whose row of `lm_head` is zero, so that another
    token always scores higher. `settings` say device, dtype and quantization; FP8 is made by the engine, from the
    weights in full. `kept_in_full` None leaves the choice of what is not quantized to transformers.
    """
    device = torch.device(device_for(settings.device))
    dtype = dtype_for(settings.dtype, device.type)
    tokenizer = (
        large_tokenizer() if scale == "11b" else AutoTokenizer.from_pretrained(CHECKPOINT, local_files_only=True)
    )
    config = mllama_config(scale, _special(tokenizer, scale))
    with torch.device("meta"):
        model = MllamaForConditionalGeneration(config).to(dtype).eval()
    if settings.quantization in ("nf4", "int8"):
        as_transformers_would(model, settings.quantization, dtype, kept_in_full)
    with torch.no_grad():
        _fill_weights(model, device, dtype)
        model.lm_head.weight[config.text_config.eos_token_id] = 0
    if device.type == "cuda":
        torch.cuda.synchronize()  # engines work on streams of their own
    model.generation_config = _generation(config.text_config)
    identity = ModelIdentity(
        name=f"random-{scale}", quantization=precision(settings.quantization, dtype), engine=settings.kind
    )
    return Checkpoint(model.requires_grad_(False), _processor(tokenizer, config.vision_config.image_size), identity)


def _tokenizer(scale: Scale) -> Any:
    return large_tokenizer() if scale == "11b" else AutoTokenizer.from_pretrained(CHECKPOINT, local_files_only=True)


def _special(tokenizer: Any, scale: Scale) -> dict[str, int]:
    """The tokenizer's own ids, which fit into either vocabulary; the end is one that it never writes."""
    last = {"11b": 128_255, "small": 1023}[scale]
    begin, padding, image = tokenizer.convert_tokens_to_ids([BEGIN, PADDING, IMAGE])
    return {"begin": begin, "padding": padding, "image": image, "end": last}


def _generation(text: Any) -> GenerationConfig:
    return GenerationConfig(
        bos_token_id=text.bos_token_id,
        eos_token_id=[text.eos_token_id],
        pad_token_id=text.pad_token_id,
        do_sample=False,
    )


def _processor(tokenizer: Any, side: int) -> Any:
    from transformers.models.mllama.image_processing_mllama import MllamaImageProcessor
    from transformers.models.mllama.processing_mllama import MllamaProcessor

    images = MllamaImageProcessor(
        size={"height": side, "width": side},
        max_image_tiles=MAX_TILES,
        image_mean=list(PIXEL_MEAN),
        image_std=list(PIXEL_STD),
    )
    return MllamaProcessor(image_processor=images, tokenizer=tokenizer, chat_template=CHAT_TEMPLATE)


# --- weights --------------------------------------------------------------------------------------------------


def _fill_weights(model: Any, device: torch.device, dtype: torch.dtype) -> None:
    """Every parameter becomes real, module by module; quantized ones pass through their full size one at a time."""
    generator = torch.Generator(device).manual_seed(SEED)
    for module in model.modules():
        for name, old in list(module.named_parameters(recurse=False)):
            new = torch.empty(old.shape if name != "weight" else _full_shape(module, old), dtype=dtype, device=device)
            _fill(module, name, new, generator)
            quantized = quantized_weight(module, name, new)
            setattr(module, name, nn.Parameter(new, requires_grad=False) if quantized is None else quantized)
        if type(module).__name__.endswith("RotaryEmbedding"):
            _rotary(module, device)
    left = [name for name, tensor in [*model.named_parameters(), *model.named_buffers()] if tensor.is_meta]
    if left:
        raise RuntimeError(f"these are still without values: {left[:5]}")


def _full_shape(module: nn.Module, weight: torch.Tensor) -> torch.Size:
    """A 4-bit layer that has no values yet may hold a packed shape."""
    return torch.Size((module.out_features, module.in_features)) if isinstance(module, nn.Linear) else weight.shape


def _fill(module: nn.Module, name: str, tensor: torch.Tensor, generator: torch.Generator) -> None:
    if "gate" in name and tensor.numel() == 1:
        tensor.fill_(GATE)
    elif name == "bias":
        tensor.zero_()
    elif type(module).__name__.endswith("Norm"):
        tensor.fill_(1)
    else:
        tensor.normal_(0, SPREAD, generator=generator)


def _rotary(module: Any, device: torch.device) -> None:
    """Set the rotary frequencies, which are calculated, not random, and stay float32."""
    fresh = type(module)(config=module.config)
    for name, values in fresh.named_buffers(recurse=False):
        setattr(module, name, nn.Buffer(values.to(device), persistent=False))
