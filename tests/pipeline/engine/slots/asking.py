"""Asks slot engines in the tests, and waits for the answers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain
from random import Random
from typing import Any

from sightstream.infra.lab.demo_model.export import CHECKPOINT
from sightstream.infra.lab.demo_model.pictures import draw, sample_spec
from sightstream.pipeline.engine.protocol import Engine
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.types import Canvas, Completion, EngineJob, FinishedJob, Pixels
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.response_format import ChoiceFormat, JsonSchema, JsonSchemaFormat, ResponseFormat

SIDE = 128  # of a tile of the embedded model
MAX_WAIT_S = 120.0  # more than any test needs


def slot_settings(**changes: object) -> EngineSettings:
    plain: dict[str, object] = {"max_batch": 4, "threads": 1, "device": "cpu", "guided_sections": False}
    return EngineSettings.model_validate({"kind": "slots", "checkpoint": CHECKPOINT} | plain | changes)


@cache
def demo_image(seed: int, size: tuple[int, int] | None = None) -> Pixels:
    """Return an image of the kind that the embedded model knows, in its own size or scaled to (width, height)."""
    image = draw(sample_spec(Random(seed), "train"))
    if size is not None:
        image = image.resize(size)
    return Pixels(image.tobytes(), *image.size, "PNG")


def image_of_tiles(seed: int, rows: int = 1, columns: int = 1) -> Pixels:
    """Return an image that fills so many tiles exactly: nothing is left to scale."""
    return demo_image(seed, (columns * SIDE, rows * SIDE))


def job(
    number: int,
    pixels: Pixels | Canvas | None = None,
    question: str = "What is it?",
    image_key: str | None = None,
    deadline: float | None = None,
    **options: object,
) -> EngineJob:
    """Return a job of 60 tokens if `options` do not say otherwise."""
    chosen = AnalysisOptions.model_validate({"max_tokens": 60} | options)
    return EngineJob(number, pixels or image_of_tiles(number), question, chosen, image_key=image_key, deadline=deadline)


def structured(
    asked: EngineJob, response_format: ResponseFormat, *, reasons: bool = False, stops_repetition: bool = True
) -> EngineJob:
    """Return the job with another format of its answer."""
    return replace(asked, response_format=response_format, reasons=reasons, stops_repetition=stops_repetition)


def choice_of(*choices: str) -> ChoiceFormat:
    return ChoiceFormat(choices=choices)


def json_of(schema: dict[str, Any]) -> JsonSchemaFormat:
    return JsonSchemaFormat(json_schema=JsonSchema.model_validate({"name": "answer", "schema": schema}))


def endings(engine: Engine, jobs: Sequence[EngineJob], gaps: Iterable[int] = ()) -> dict[int, FinishedJob]:
    """Submit the jobs, with so many steps of the engine between one and the next; return how each ended."""
    found: dict[int, FinishedJob] = {}
    gaps = chain([0], gaps)
    for each in jobs:
        for _ in range(next(gaps, 0)):
            _collect(engine, found)
        engine.submit(each)
    deadline = time.monotonic() + MAX_WAIT_S  # not a number of steps: a format compiles beside them
    while len(found) < len(jobs) and time.monotonic() < deadline:
        _collect(engine, found)
    missing = sorted({each.id for each in jobs} - set(found))
    assert not missing, f"did not end: {missing}"
    return found


def answers(engine: Engine, jobs: Sequence[EngineJob], gaps: Iterable[int] = ()) -> dict[int, Completion]:
    return {number: completion_of(finished) for number, finished in endings(engine, jobs, gaps).items()}


def completion_of(finished: FinishedJob) -> Completion:
    assert isinstance(finished.outcome, Completion), finished.outcome
    return finished.outcome


def _collect(engine: Engine, found: dict[int, FinishedJob]) -> None:
    for finished in engine.finished(0):
        assert finished.id not in found, "a job ended twice"
        found[finished.id] = finished
