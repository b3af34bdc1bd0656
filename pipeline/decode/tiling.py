"""How a checkpoint wants images cut into tiles, read from its folder without loading torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from sightstream.pipeline.decode.arrangement import BICUBIC, BILINEAR, Tiling, arrangements, aspect_ratio_id
from sightstream.pipeline.errors import Fatal

__all__ = ["BICUBIC", "BILINEAR", "Tiling", "arrangements", "aspect_ratio_id", "read_tiling"]


def read_tiling(folder: Path) -> Tiling:
    """From the image processor's settings in a checkpoint's folder. Raises Fatal with what to change."""
    try:
        found = _Settings.model_validate(_stored(folder))
    except (OSError, ValueError, AttributeError) as error:
        raise Fatal(f"{folder.name}: the image processor's settings can't be used: {_brief(error)}") from None
    return Tiling(found.size.height, found.max_image_tiles, found.resample)


class _Size(BaseModel):
    height: int = Field(ge=1)
    width: int


class _Settings(BaseModel):
    """What we need of them; the defaults are MllamaImageProcessor's own."""

    size: _Size = _Size(height=224, width=224)
    max_image_tiles: int = Field(default=4, ge=1)
    resample: Literal[2, 3] = BILINEAR
    do_resize: Literal[True] = True
    do_pad: Literal[True] = True

    @model_validator(mode="after")
    def _check_square(self) -> _Settings:
        if self.size.width != self.size.height:
            raise ValueError("tiles are square: size.height and size.width must be equal")
        return self


def _stored(folder: Path) -> Any:
    """Newer checkpoints nest them in the processor's file, which then comes first; older ones have a file for them."""
    nesting = folder / "processor_config.json"
    if nesting.is_file():
        nested = json.loads(nesting.read_text(encoding="utf-8")).get("image_processor")
        if nested is not None:
            return nested
    return json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))


def _brief(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
    if isinstance(error, OSError):
        return "there is no readable preprocessor_config.json or processor_config.json"
    return str(error)
