"""The vocabulary between the stages."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from sightstream.pipeline.errors import PipelineError
from sightstream.pipeline.shared_memory_pool import Block
from sightstream.schemas.wire.request import AnalysisOptions
from sightstream.schemas.wire.result import FinishReason, ImageResult


@dataclass(frozen=True, slots=True)
class FetchedImage:
    """An image as it was stored; `etag` is the store's own name of these bytes, where it has one."""

    data: bytes
    sha256: str
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class NotModified:
    """The image still is the one whose etag the caller named; nothing was read."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """A decoded image: `rgb` holds height x width x 3 bytes, row by row, upright, on white."""

    rgb: bytes | Block
    width: int
    height: int
    format: str

    def buffer(self) -> bytes | memoryview:
        """The bytes, wherever they lie; good until the job that looks at them has ended."""
        return self.rgb.view() if isinstance(self.rgb, Block) else self.rgb


@dataclass(frozen=True, slots=True)
class Canvas:
    """A decoded image as a tiling model looks at it: scaled, at the top left of rows x columns square tiles.

    `rgb` holds (rows * side) x (columns * side) x 3 bytes, row by row, black where the image does not reach.
    `width`, `height` and `format` are those of the image before.
    """

    rgb: bytes | Block
    rows: int
    columns: int
    side: int
    width: int
    height: int
    format: str

    def buffer(self) -> bytes | memoryview:
        """The bytes, wherever they lie; good until the job that looks at them has ended."""
        return self.rgb.view() if isinstance(self.rgb, Block) else self.rgb


@dataclass(frozen=True, slots=True)
class EngineJob:
    """One question about one image. `id` is the caller's, unique among the jobs in flight.

    Jobs with the same `image_key` look at the same picture; without one, nothing is known. `deadline` is in seconds
    since 1970: an answer is of no use after it.
    """

    id: int
    pixels: Pixels | Canvas
    question: str
    options: AnalysisOptions
    image_key: str | None = None
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model said, end-of-turn tokens removed."""

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class FinishedJob:
    """How a job ended."""

    id: int
    outcome: Completion | PipelineError


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended; `ticket` is what the caller handed in with it."""

    ticket: Hashable
    result: ImageResult | PipelineError
