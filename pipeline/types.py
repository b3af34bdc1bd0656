"""The vocabulary between the stages."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from pipeline.errors import PipelineError
from schemas.request import AnalysisOptions
from schemas.result import FinishReason, ImageResult


@dataclass(frozen=True, slots=True)
class FetchedImage:
    """An image as it was stored."""

    data: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Pixels:
    """A decoded image: `rgb` holds height x width x 3 bytes, row by row, upright, on white."""

    rgb: bytes
    width: int
    height: int
    format: str


@dataclass(frozen=True, slots=True)
class EngineJob:
    """One question about one image. `id` is the caller's, unique among the jobs in flight."""

    id: int
    pixels: Pixels
    question: str
    options: AnalysisOptions


@dataclass(frozen=True, slots=True)
class Generated:
    """What the model said, end-of-turn tokens removed."""

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Finished:
    """How a job ended."""

    id: int
    outcome: Generated | PipelineError


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended; `ticket` is what the caller handed in with it."""

    ticket: Hashable
    result: ImageResult | PipelineError
