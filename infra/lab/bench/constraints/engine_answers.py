"""Lets the slot engine write constrained answers about drawn pictures, and counts those that the check refuses.

`python -m sightstream.infra.lab.bench.constraints.engine_answers --answers 100000 --device cuda`
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sightstream.infra.lab.bench.constraints.run import usable_formats
from sightstream.infra.lab.demo_model.export import CHECKPOINT
from sightstream.infra.lab.demo_model.pictures.scene import draw
from sightstream.infra.lab.demo_model.pictures.spec import sample_spec
from sightstream.pipeline.constraints.value import parse_value
from sightstream.pipeline.engine.build import build_engine
from sightstream.pipeline.engine.format_prompt import describe_shape
from sightstream.pipeline.engine.protocol import Engine
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.types import Completion, EngineJob, FinishedJob, Pixels
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.response_format import JsonSchemaFormat

QUESTION = "Describe the product."
MAX_TOKENS = 96
HANG_S = 60.0  # without any answer: the engine hangs
MAX_SHAPE_CHARS = 400  # longer prompts are prefilled without a graph, and would be most of the time


@dataclass(slots=True)
class EngineReport:
    """What came of the answers. `refused` are those that the engine called finished and the check refuses."""

    finish_reasons: Counter[str] = field(default_factory=Counter)
    valid: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the figures; the share of cut answers is that of all."""
        answers = self.finish_reasons.total()
        return {
            "answers": answers,
            "finish_reasons": dict(self.finish_reasons),
            "valid": self.valid,
            "cut_share": round(self.finish_reasons["length"] / max(1, answers), 4),
            "refused_answers": len(self.refused),
            "examples": self.refused[:10],
            "errors": dict(self.errors),
            "answers_per_s": round(answers / max(self.seconds, 1e-9), 1),
        }


def pictures(count: int, seed: int) -> list[Pixels]:
    """Draw product pictures."""
    rng = random.Random(seed)  # noqa: S311 - the same pictures for the same seed
    drawn = [draw(sample_spec(rng)).convert("RGB") for _ in range(count)]
    return [Pixels(image.tobytes(), image.width, image.height, "PNG") for image in drawn]


def short_formats(count: int, seed: int) -> list[JsonSchemaFormat]:
    """Return formats whose prompts fit the engine's graphs, and the long list of values before them."""
    first, *others = usable_formats(10 * count, seed)
    short = [each for each in others if len(describe_shape(each.json_schema.schema_)) <= MAX_SHAPE_CHARS]
    return [first, *short[: count - 1]]


def jobs(formats: list[JsonSchemaFormat], seen: list[Pixels], answers: int) -> Iterator[EngineJob]:
    """Yield sampled questions: every format about every picture in turn, each with a seed of its own."""
    for number in range(answers):
        picture = number % len(seen)
        yield EngineJob(
            number,
            seen[picture],
            QUESTION,
            AnalysisOptions(max_tokens=MAX_TOKENS, temperature=1.0, seed=number),
            image_key=str(picture),
            response_format=formats[number // len(seen) % len(formats)],
            reasons=False,
            stops_repetition=True,
        )


def run(engine: Engine, left: Iterator[EngineJob], max_s: float) -> EngineReport:
    """Answer the questions, or as many as `max_s` seconds allow. Raises RuntimeError when the engine hangs."""
    report, waiting = EngineReport(), dict[int, EngineJob]()
    began = last = time.monotonic()
    while True:
        while len(waiting) < 2 * engine.capacity() and time.monotonic() - began < max_s and (job := next(left, None)):
            waiting[job.id] = job
            engine.submit(job)
        if not waiting:
            break
        for finished in engine.finished(1.0):
            _count(report, waiting.pop(finished.id), finished)
            last = time.monotonic()
        if time.monotonic() - last > HANG_S:
            raise RuntimeError(f"no answer for {HANG_S:.0f} s; {len(waiting)} are open")
    report.seconds = time.monotonic() - began
    return report


def _count(report: EngineReport, job: EngineJob, finished: FinishedJob) -> None:
    outcome = finished.outcome
    if not isinstance(outcome, Completion):
        report.errors[str(outcome)] += 1
        return
    parsed = parse_value(job.response_format, outcome.text)
    report.finish_reasons[outcome.finish_reason] += 1
    report.valid += parsed.valid
    if outcome.finish_reason == "stop" and not parsed.valid:
        report.refused.append(f"{parsed.problem} {outcome.text[:300]!r}")


def main() -> None:
    """Print the figures as JSON; exit 1 if the check refuses a finished answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=1000)
    parser.add_argument("--schemas", type=int, default=200)
    parser.add_argument("--pictures", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=256, help="Answers at once.")
    parser.add_argument("--seconds", type=float, default=3600, help="No further question is asked after so long.")
    given = parser.parse_args()
    settings = EngineSettings(kind="slots", checkpoint=CHECKPOINT, device=given.device, max_batch=given.batch)
    engine = build_engine(settings, lambda: None)
    formats, seen = short_formats(given.schemas, given.seed), pictures(given.pictures, given.seed)
    report = run(engine, jobs(formats, seen, given.answers), given.seconds)
    sys.stdout.write(json.dumps(report.as_json(), indent=1, ensure_ascii=False) + "\n")
    raise SystemExit(1 if report.refused else 0)


if __name__ == "__main__":
    main()
