"""Which model a run has, found out without loading torch: the worker's own process never does."""

from __future__ import annotations

import shutil
from pathlib import Path

from sightstream.infra.lab import demo_model
from sightstream.infra.settings import load
from sightstream.pipeline.decode.tiles import Tiling
from sightstream.pipeline.engine.image_processor import read_tiling
from sightstream.pipeline.engine.settings import EngineSettings

CHECKPOINT = Path(demo_model.__file__).parent / "checkpoint"
MAX_TILES = 4
_SIDES_PX = {"random-11b": 560, "random-small": 56}


def model_name(model: str) -> str:
    """Return what "auto" means: the checkpoint that is set, else the real shape on a GPU and the demo's on a CPU."""
    if model != "auto":
        return model
    if load(EngineSettings).checkpoint is not None:
        return "checkpoint"
    return "random-11b" if shutil.which("nvidia-smi") else "demo"


def tiling_for(model: str, settings: EngineSettings) -> Tiling | None:
    """Return the tiling of the slot engine's model; other engines get whole images, and none."""
    if settings.kind != "slots":
        return None
    if model in _SIDES_PX:
        return Tiling(_SIDES_PX[model], MAX_TILES)
    return read_tiling(CHECKPOINT if model == "demo" or settings.checkpoint is None else settings.checkpoint)
