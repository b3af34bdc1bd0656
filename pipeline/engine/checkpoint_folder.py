"""Checks a checkpoint's folder without loading torch."""

from __future__ import annotations

import json
from pathlib import Path

from sightstream.pipeline.errors import Fatal


def checked_folder(folder: Path | None) -> Path:
    """Return `folder` if it has an Mllama checkpoint in safetensors. Raises Fatal with what to change."""
    if folder is None:
        raise Fatal("no model: set SIGHTSTREAM_ENGINE_CHECKPOINT to a folder with an Mllama checkpoint")
    config = folder / "config.json"
    if not config.is_file():
        raise Fatal(f"{folder} has no config.json; set SIGHTSTREAM_ENGINE_CHECKPOINT to an Mllama checkpoint")
    kind = json.loads(config.read_text(encoding="utf-8")).get("model_type")
    if kind != "mllama":
        raise Fatal(f"{folder.name} is a model of type {kind!r}; this engine runs mllama")
    if not list(folder.glob("*.safetensors")):
        raise Fatal(f"{folder.name} has no .safetensors files; convert the weights, because pickles are never loaded")
    return folder
