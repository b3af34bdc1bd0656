"""Says how many images of one question an engine sees, without loading it."""

from __future__ import annotations

import json
from pathlib import Path

from sightstream.pipeline.decode.grid import images_on_canvas
from sightstream.pipeline.decode.tiles import Tiling
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.schemas.wire.request import MAX_IMAGES


def image_limit(settings: EngineSettings, tiling: Tiling | None) -> int:
    """Return the most images of one question. `tiling` is that of the canvases that the engine gets, if it gets some.

    Where it can't be known, as of a model server, the wire's own limit is returned: the engine itself refuses then.
    """
    if tiling is not None:
        return images_on_canvas(tiling.max_tiles)
    sees_one = settings.kind == "generate" and settings.checkpoint is not None and _is_mllama(settings.checkpoint)
    return 1 if sees_one else MAX_IMAGES


def _is_mllama(folder: Path) -> bool:
    """A folder without a readable configuration is none; the engine itself reports what is wrong with it."""
    try:
        return bool(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type") == "mllama")
    except (OSError, ValueError, AttributeError):
        return False
