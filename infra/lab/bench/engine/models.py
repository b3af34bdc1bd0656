"""Loads the checkpoint to measure: a folder's, the demo model's, or one with random weights."""

from __future__ import annotations

from typing import Any

import torch

from sightstream.infra.lab.bench.engine.options import BenchOptions, Model
from sightstream.infra.lab.bench.engine.quantized_linear import bitsandbytes_config
from sightstream.infra.lab.bench.engine.random_checkpoint import random_checkpoint
from sightstream.infra.lab.bench.engine.shapes import Scale
from sightstream.infra.lab.demo_model.export import CHECKPOINT
from sightstream.pipeline.engine.checkpoint import KEPT_IN_FULL, Checkpoint, load_checkpoint
from sightstream.pipeline.engine.settings import EngineSettings

_SCALES: dict[Model, Scale] = {"random-11b": "11b", "random-small": "small"}


def device_of(settings: EngineSettings) -> str:
    """ "cuda" or "cpu"."""
    if settings.device != "auto":
        return settings.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def model_of(options: BenchOptions) -> Model:
    """What "auto" means: the checkpoint that is set, else the real shape on a GPU and the demo model on a CPU."""
    if options.model != "auto":
        return options.model
    if options.settings.checkpoint is not None:
        return "checkpoint"
    return "random-11b" if device_of(options.settings) == "cuda" else "demo"


def checkpoint_for(options: BenchOptions) -> Checkpoint:
    """The model as `options.settings` want it, its answers as long as they are asked to be. Blocks; raises Fatal."""
    model = model_of(options)
    if model in _SCALES:
        return random_checkpoint(options.settings, _SCALES[model])
    return _without_end(load_checkpoint(_with_folder(options, model)))


def tutorial_checkpoint(options: BenchOptions) -> Checkpoint:
    """Load the model as tutorials do: NF4 with bfloat16 arithmetic; transformers chooses what is left in full.

    The demo model's vision tower has widths that 4-bit kernels don't take, so it alone is left in full.
    """
    settings = options.settings.model_copy(update={"quantization": "nf4", "dtype": "bfloat16"})
    model = model_of(options)
    if model in _SCALES:
        return random_checkpoint(settings, _SCALES[model], kept_in_full=None)
    kept = KEPT_IN_FULL if model == "demo" else None
    return _without_end(_load_like_a_tutorial(_with_folder(options, model), kept))


def _with_folder(options: BenchOptions, model: Model) -> EngineSettings:
    if model != "demo":
        return options.settings
    return options.settings.model_copy(update={"checkpoint": CHECKPOINT, "model_name": "demo"})


def _load_like_a_tutorial(settings: EngineSettings, kept_in_full: list[str] | None) -> Checkpoint:
    from transformers import AutoProcessor, MllamaForConditionalGeneration
    from transformers.utils import logging as hf_logging

    from sightstream.pipeline.engine.checkpoint_folder import checked_folder
    from sightstream.schemas.wire.result import ModelIdentity

    hf_logging.disable_progress_bar()
    folder = checked_folder(settings.checkpoint)
    model = MllamaForConditionalGeneration.from_pretrained(
        folder,
        dtype=torch.bfloat16,
        device_map={"": device_of(settings)},
        quantization_config=bitsandbytes_config("nf4", torch.bfloat16, kept_in_full),
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
    ).eval()
    processor = AutoProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    processor.tokenizer.padding_side = "left"
    name = settings.model_name or folder.name
    return Checkpoint(model, processor, ModelIdentity(name=name, quantization="nf4+bfloat16", engine="generate"))


def _without_end(checkpoint: Checkpoint) -> Checkpoint:
    """The only end token becomes the last of the vocabulary, which no checkpoint writes: answers run to their limit."""
    model: Any = checkpoint.model
    model.generation_config.eos_token_id = [model.config.text_config.vocab_size - 1]
    return checkpoint
