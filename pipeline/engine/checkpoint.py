"""Loads an image-text-to-text checkpoint: from safetensors only, without downloads, without running its code."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor, BitsAndBytesConfig
from transformers.utils import logging as hf_logging

from sightstream.pipeline.engine.checkpoint_folder import checked_folder
from sightstream.pipeline.engine.model_name import model_name
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.weights import weights_digest
from sightstream.pipeline.errors import Fatal
from sightstream.schemas.wire.result import ModelIdentity

# bitsandbytes matches these with the start of a module's name; an own list drops the automatic `lm_head`.
KEPT_IN_FULL = [
    "lm_head",
    "model.vision_model",
    "model.vision_tower",
    "model.visual",
    "model.multi_modal_projector",
]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A loaded model. `processor` pads on the left: right padding would change the shorter rows' answers."""

    model: Any
    processor: Any
    identity: ModelIdentity


def load_checkpoint(settings: EngineSettings) -> Checkpoint:
    """Load the model. Blocks for seconds to minutes. Raises Fatal with the setting to change."""
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)  # one line per product in INT8
    if settings.threads:
        torch.set_num_threads(settings.threads)
    folder = checked_folder(settings.checkpoint, any_type=settings.kind == "generate")
    device = device_for(settings.device)
    dtype = dtype_for(settings.dtype, device)
    try:
        processor = AutoProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model = AutoModelForImageTextToText.from_pretrained(
            folder,
            dtype=dtype,
            device_map={"": device},
            quantization_config=_quantization(settings.quantization, dtype),
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        ).eval()
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise Fatal(f"the checkpoint {folder.name} can't be loaded: {error}") from error
    processor.tokenizer.padding_side = "left"
    return Checkpoint(model, processor, _identity(settings, folder, dtype))


def device_for(chosen: str) -> str:
    """Return the device that "auto" means here. Raises Fatal for a GPU that is not there."""
    if chosen == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if chosen == "cuda" and not torch.cuda.is_available():
        raise Fatal("no CUDA device found; set SIGHTSTREAM_ENGINE_DEVICE=cpu or fix the driver")
    return chosen


def dtype_for(chosen: str, device: str) -> torch.dtype:
    """Return the precision that "auto" means on a device."""
    if chosen == "auto":
        return torch.bfloat16 if device == "cuda" else torch.float32
    return {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}[chosen]


def _quantization(chosen: str, dtype: torch.dtype) -> BitsAndBytesConfig | None:
    if chosen == "none":
        return None
    if chosen == "int8":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=0.0, llm_int8_skip_modules=KEPT_IN_FULL)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=KEPT_IN_FULL,
    )


def precision(quantization: str, dtype: torch.dtype) -> str:
    """Return the precision label in results, for example "nf4+bfloat16"."""
    name = str(dtype).removeprefix("torch.")
    return name if quantization == "none" else f"{quantization}+{name}"


def _identity(settings: EngineSettings, folder: Path, dtype: torch.dtype) -> ModelIdentity:
    return ModelIdentity(
        name=settings.model_name or model_name(folder),
        revision=settings.revision,
        weights_sha256=weights_digest(folder),
        quantization=precision(settings.quantization, dtype),
        engine=settings.kind,
    )
