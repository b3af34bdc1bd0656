"""The limits that a decode process gets at its start. Imports nothing heavy."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from sightstream.pipeline.decode.tiles import Tiling


@dataclass(frozen=True, slots=True)
class Limits:
    """The decode settings that a child needs, and the tiling that images are scaled onto, if any."""

    max_pixels: int
    max_aspect_ratio: float
    timeout_s: float
    memory_bytes: int
    resident_bytes: int
    draft: bool
    accepts_truncated: bool = False
    tiling: Tiling | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Limits:
        values = json.loads(text)
        tiling = values.pop("tiling")
        return cls(**values, tiling=None if tiling is None else Tiling(**tiling))

    def with_tiles(self, max_tiles: int | None) -> Limits:
        """Return the same limits with `max_tiles` at most for an image; None, or no tiling, changes nothing."""
        if self.tiling is None or max_tiles is None:
            return self
        return replace(self, tiling=self.tiling.at_most(max_tiles))

    @property
    def output_bytes(self) -> int:
        """The size of the largest decoded image."""
        return self.max_pixels * 3 if self.tiling is None else self.tiling.canvas_bytes
