"""Checks a checkpoint's folder without loading torch."""

from __future__ import annotations

import json
from pathlib import Path

from sightstream.pipeline.errors import Fatal


def checked_folder(folder: Path | None, *, any_type: bool = False) -> Path:
    """Return `folder` if it has a checkpoint in safetensors, of Mllama unless of `any_type`.

    Raises Fatal with what to change.
    """
    if folder is None:
        raise Fatal("no model: set SIGHTSTREAM_ENGINE_CHECKPOINT to a folder with a checkpoint, such as Mllama's")
    config = folder / "config.json"
    if not config.is_file():
        raise Fatal(f"{folder} has no config.json; set SIGHTSTREAM_ENGINE_CHECKPOINT to a checkpoint's folder")
    kind = json.loads(config.read_text(encoding="utf-8")).get("model_type")
    if kind != "mllama" and not any_type:
        raise Fatal(f'{folder.name} is a model of type {kind!r}; this engine runs mllama, "generate" runs others')
    if not list(folder.glob("*.safetensors")):
        raise Fatal(f"{folder.name} has no .safetensors files; convert the weights, because pickles are never loaded")
    return folder
