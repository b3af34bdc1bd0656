"""What was measured, and on what."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from sightstream.infra.lab.bench.engine.cost_model import parameters, shape_of
from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.prompt import PromptWriter

_PACKAGES = ("transformers", "bitsandbytes", "triton", "pillow")


def machine_facts(device: str) -> dict[str, Any]:
    """Device, memory, cores, versions."""
    facts: dict[str, Any] = {
        "device": device,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {"torch": str(torch.__version__)} | {name: _version(name) for name in _PACKAGES},
    }
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        facts["gpu"] = {"name": properties.name, "memory_bytes": properties.total_memory, "cuda": torch.version.cuda}
    return facts


def model_facts(checkpoint: Checkpoint, question: str) -> dict[str, Any]:
    """Whose figures these are. `weights_are` says where the weights come from."""
    shape = shape_of(checkpoint.model.config)
    prompt = PromptWriter(checkpoint.processor).write(question)
    drawn = checkpoint.identity.name.startswith("random-")
    return {
        "identity": checkpoint.identity.model_dump(),
        "weights_are": "drawn at random, in the model's real shape" if drawn else "a checkpoint's",
        "answers": "greedy, each as long as it is asked to be: the only end token is one that the model never writes",
        "parameters": parameters(shape),
        "shape": asdict(shape),
        "bytes_a_number": checkpoint.model.dtype.itemsize,
        "prompt_tokens": len(checkpoint.processor.tokenizer(prompt, add_special_tokens=False)["input_ids"]),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
