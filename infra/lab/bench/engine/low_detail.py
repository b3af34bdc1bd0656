"""Images at low detail: how far one tile that is computed alone is from the same tile with padding."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cosine_similarity

from sightstream.infra.lab.bench.engine.engines import tiling_of
from sightstream.infra.lab.bench.engine.figures import Figure, Measured
from sightstream.infra.lab.bench.engine.models import model_of
from sightstream.infra.lab.bench.engine.timing import median_seconds
from sightstream.pipeline.decode.inline import decode_to_canvas
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.tiles import image_to_tiles
from sightstream.pipeline.types import Canvas, Completion, EngineJob
from sightstream.schemas.wire.options import AnalysisOptions

if TYPE_CHECKING:
    from sightstream.infra.lab.bench.engine.bench import Bench
    from sightstream.infra.lab.bench.engine.options import Allowance
    from sightstream.pipeline.engine.protocol import Engine
    from sightstream.pipeline.engine.slots.vision import VisionEncoder

TOKENS = 48
COMPARED = 64  # images whose answers and states are compared
DEMO_QUESTIONS = ("What is it?", "What colour is it?", "How many are there?", "What pattern does it have?")
FIRST_NUMBER = 10**12  # beyond those of every other job
WAIT_S = 0.005


def distance(bench: Bench, allowance: Allowance) -> Measured:
    """Compare answers and states of the same tiles, computed alone and as the stock model does."""
    canvases = _canvases(bench)
    return Measured((_same_answers(bench, canvases), *_states(bench, canvases)))


def _canvases(bench: Bench) -> list[Canvas]:
    """Return images of one tile: of the kind that the demo model knows, else photographs."""
    tiling = tiling_of(bench.options).at_most(1)
    if model_of(bench.options) == "demo":
        from sightstream.infra.lab.demo_model.pictures import draw, sample_spec

        drawn = (draw(sample_spec(Random(10**6 + seed), "test")) for seed in range(COMPARED))  # noqa: S311
        return [image_to_tiles(image.convert("RGB"), "PNG", tiling) for image in drawn]
    return [decode_to_canvas(data, DecodeSettings(), tiling) for data in bench.files(bench.sizes.tiles)[:COMPARED]]


def _same_answers(bench: Bench, canvases: list[Canvas]) -> Figure:
    questions = DEMO_QUESTIONS if model_of(bench.options) == "demo" else (bench.question,)
    options = AnalysisOptions(max_tokens=TOKENS)
    jobs = [
        EngineJob(FIRST_NUMBER + number, canvas, questions[number % len(questions)], options)
        for number, canvas in enumerate(canvases)
    ]
    high = _texts(bench.engine, jobs)
    same = [a == b for a, b in zip(high, _texts(bench.engine, [replace(j, detail="low") for j in jobs]), strict=True)]
    how = f"share of {len(jobs)} greedy answers of {TOKENS} tokens that are the same text at both details"
    return Figure("same_answers", sum(same) / len(same), "", how)


def _texts(engine: Engine, jobs: list[EngineJob]) -> list[str]:
    for job in jobs:
        engine.submit(job)
    found: dict[int, str] = {}
    while len(found) < len(jobs):
        for finished in engine.finished(WAIT_S):
            outcome = finished.outcome
            found[finished.id] = outcome.text if isinstance(outcome, Completion) else str(outcome)
    return [found[job.id] for job in jobs]


def _states(bench: Bench, canvases: list[Canvas]) -> list[Figure]:
    """Compare the states of each tile, computed alone and with padding; and time both."""
    from sightstream.pipeline.engine.slots.engine import SlotEngine

    if not isinstance(bench.engine, SlotEngine):
        return []
    encoder = bench.engine.vision
    with torch.inference_mode():
        cosines, errors = zip(*(_distance(encoder, canvas) for canvas in canvases), strict=True)
        alone_s = median_seconds(lambda: encoder.encode(canvases[0], alone=True), bench.device, 15)
    how = f"of the states of {len(canvases)} images, with padding for three more tiles and alone"
    return [
        Figure("states_cosine", sum(cosines) / len(cosines), "", f"mean cosine {how}"),
        Figure("states_cosine_least", min(cosines), "", f"least image's mean cosine {how}"),
        Figure("states_error", sum(errors) / len(errors), "", f"mean |difference| / mean |value| {how}"),
        Figure("tile_alone_s", alone_s, "s", "one tile alone, from the canvas: vision tower and projector"),
    ]


def _distance(encoder: VisionEncoder, canvas: Canvas) -> tuple[float, float]:
    padded = encoder.encode(canvas)[0].float().clone()
    alone = encoder.encode(canvas, alone=True)[0].float()
    error = (alone - padded).abs().mean() / padded.abs().mean()
    return cosine_similarity(alone, padded, dim=-1).mean().item(), error.item()
