"""The types that the stages hand to each other."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from sightstream.pipeline.errors import PipelineError
from sightstream.pipeline.shared_memory_pool import Block
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.question_answer import NO_CONFIDENCE, Confidence, EndOfAnswer
from sightstream.schemas.wire.request import Detail
from sightstream.schemas.wire.response_format import SECTIONS_FORMAT, ResponseFormat
from sightstream.schemas.wire.result import ModelIdentity
from sightstream.schemas.wire.result_v2 import AnyResult


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an image comes from, and what fails as one: a bucket, a host, a file root.

    `name` may be a publisher's choice; `label` comes from a closed set, for metrics: a name or pattern in the settings,
    or a kind. `is_dependency` says that this worker relies on it: while it is down, its requests wait. `server` names
    what serves it, and slows down as one: the same object store for all buckets.
    """

    name: str
    label: str
    is_dependency: bool
    server: str = ""


@dataclass(frozen=True, slots=True)
class FetchedImage:
    """An image as it is stored; `etag` is the store's own name for these bytes, if it has one."""

    data: bytes
    sha256: str
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class NotModified:
    """The image is still the one whose etag the caller sent; nothing was read (HTTP 304)."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """A decoded image: `rgb` holds height x width x 3 bytes, row by row, upright, on white."""

    rgb: bytes | Block
    width: int
    height: int
    format: str
    is_truncated: bool = False

    def buffer(self) -> bytes | memoryview:
        """Return the bytes without a copy; valid until the job that uses them has ended."""
        return self.rgb.view() if isinstance(self.rgb, Block) else self.rgb


@dataclass(frozen=True, slots=True)
class Canvas:
    """A decoded image as a tiling model sees it: scaled, at the top left of rows x columns square tiles.

    `rgb` holds (rows * side) x (columns * side) x 3 bytes, row by row, black where the image does not reach.
    `width`, `height` and `format` are those of the stored image.
    """

    rgb: bytes | Block
    rows: int
    columns: int
    side: int
    width: int
    height: int
    format: str
    is_truncated: bool = False

    def buffer(self) -> bytes | memoryview:
        """Return the bytes without a copy; valid until the job that uses them has ended."""
        return self.rgb.view() if isinstance(self.rgb, Block) else self.rgb


@dataclass(frozen=True, slots=True)
class EngineJob:
    """One question about what `pixels` show. `id` is the caller's, unique among the jobs in flight.

    Jobs with the same `image_key` show the same pixels; without a key nothing is known. `more_pixels` are further
    images of the same question, for engines that take several. `deadline` is in seconds since 1970: after it nobody
    wants the answer. With `reasons` the model writes freely before an answer that `response_format` constrains. With
    `stops_repetition` an answer that repeats itself is ended. With the detail "low" the pixels are at most one tile,
    which the engine computes alone; "auto" comes only with Pixels, for an engine that decides it itself. With
    `checks_logits` an engine that sees its logits rejects the job if one of them is not finite.
    """

    id: int
    pixels: Pixels | Canvas
    question: str
    options: AnalysisOptions
    image_key: str | None = None
    deadline: float | None = None
    response_format: ResponseFormat = SECTIONS_FORMAT
    reasons: bool = True
    stops_repetition: bool = False
    more_pixels: tuple[Pixels, ...] = ()
    detail: Detail = "high"
    checks_logits: bool = False


@dataclass(frozen=True, slots=True)
class Completion:
    """The text that the model generated, without end-of-turn tokens.

    For a constrained format `text` is the answer proper alone, and `reasoning` what the model wrote before it.
    """

    text: str
    finish_reason: EndOfAnswer
    prompt_tokens: int
    completion_tokens: int
    reasoning: str | None = None
    confidence: Confidence = NO_CONFIDENCE


@dataclass(frozen=True, slots=True)
class FinishedJob:
    """An engine's job and how it ended."""

    id: int
    outcome: Completion | PipelineError


@dataclass(frozen=True, slots=True)
class SeenFile:
    """What a result says of one image: the file that was fetched, and how the model saw it.

    `seen_size` is the width and height on the model's tiles, None for an engine that gets the image as it is; with the
    detail "low" the model saw it alone, on one tile.
    """

    size_bytes: int
    format: str
    width: int
    height: int
    seen_size: tuple[int, int] | None = None
    truncated: bool = False
    detail: Literal["high", "low"] = "high"


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, and all that an equal question needs to make it its own. `cached`: not computed for this question."""

    completion: Completion
    files: tuple[SeenFile, ...]
    model: ModelIdentity
    cached: bool = False


@dataclass(frozen=True, slots=True)
class FinishedAnswers:
    """The answers that a request had, by question id, when an attempt ended; for the images with these digests."""

    image_sha256s: tuple[str, ...] = ()
    answers: Mapping[str, Answered] = field(default_factory=dict)


NO_ANSWERS = FinishedAnswers()


# A stage, and when a request came to it and left it, in seconds of the flow's clock.
StageTime = tuple[str, float, float]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended; `ticket` is the token that the caller submitted with it.

    `finished` comes with a Retryable: submit it with the request again, and these answers are not computed twice.
    `stages` are in the order of time; a stage may come twice.
    """

    ticket: Hashable
    result: AnyResult | PipelineError
    finished: FinishedAnswers = NO_ANSWERS
    stages: tuple[StageTime, ...] = field(default=(), compare=False)
