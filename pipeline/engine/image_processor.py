"""Reads from a checkpoint's folder how its image processor cuts images into tiles, without loading torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from sightstream.pipeline.decode.tiles import BILINEAR, Tiling
from sightstream.pipeline.errors import Fatal


def read_tiling(folder: Path) -> Tiling:
    """Return the tiling of the checkpoint in this folder. Raises Fatal with what to change."""
    try:
        settings = _ImageProcessor.model_validate(_stored(folder))
    except (OSError, ValueError, AttributeError) as error:
        raise Fatal(f"{folder.name}: the image processor's settings can't be used: {_brief(error)}") from None
    return Tiling(settings.size.height, settings.max_image_tiles, settings.resample)


class _Size(BaseModel):
    height: int = Field(ge=1)
    width: int


class _ImageProcessor(BaseModel):
    """The settings that decide the tiling; the defaults are MllamaImageProcessor's own."""

    size: _Size = _Size(height=224, width=224)
    max_image_tiles: int = Field(default=4, ge=1)
    resample: Literal[2, 3] = BILINEAR
    do_resize: Literal[True] = True
    do_pad: Literal[True] = True

    @model_validator(mode="after")
    def _check_square(self) -> _ImageProcessor:
        if self.size.width != self.size.height:
            raise ValueError("tiles are square: size.height and size.width must be equal")
        return self


def _stored(folder: Path) -> object:
    """Return the settings as parsed JSON. Newer checkpoints nest them in processor_config.json, which has priority."""
    nesting = folder / "processor_config.json"
    if nesting.is_file():
        nested: object = json.loads(nesting.read_text(encoding="utf-8")).get("image_processor")
        if nested is not None:
            return nested
    stored: object = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    return stored


def _brief(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
    if isinstance(error, OSError):
        return "there is no readable preprocessor_config.json or processor_config.json"
    return str(error)
