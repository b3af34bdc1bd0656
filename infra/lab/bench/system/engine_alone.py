"""`python -m` of this module: the engine in a process of its own, without Kafka, over the same images.

Its argument is a JSON file of `EngineTask`; it writes the answer, by length of the answers, to the file named there.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from itertools import count, repeat
from math import ceil
from pathlib import Path

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.engine.feed import Feed
from sightstream.infra.lab.bench.engine.options import Allowance
from sightstream.infra.lab.bench.engine.saturate import Saturated, Saturator
from sightstream.infra.lab.bench.engine.stagger import staggered
from sightstream.infra.lab.bench.engine.window import steady_rates
from sightstream.infra.lab.bench.system.activity import busy_seconds, read_activity
from sightstream.infra.lab.bench.system.model import tiling_for
from sightstream.infra.lab.bench.system.recorded_engine import RecordedEngine
from sightstream.infra.settings import load
from sightstream.pipeline.decode.decoder import Decoder
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.engine.host import EngineHost
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.settings import FlowSettings

LEAST_WINDOW = 48  # answers
LIMIT_S = 900.0
JOBS_A_PHASE = 1_000_000


@dataclass(frozen=True, slots=True)
class EngineTask:
    """What to measure: answers of each length in `tokens` about `files`, over so many `rounds` of all slots."""

    model: str
    question: str
    tokens: tuple[int, ...]
    rounds: float
    files: tuple[str, ...]
    folder: str
    answer: str


@dataclass(frozen=True, slots=True)
class EngineAlone:
    """What the engine does where nothing keeps it waiting. `starved_fraction` is 0 where the feed kept up."""

    images_per_s: float
    answers: int
    seconds: float
    slots: int
    busy_fraction: float
    starved_fraction: float


def main() -> None:
    """Measure each phase; the engine is loaded once."""
    task = EngineTask(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    engine, decode = load(EngineSettings), load(DecodeSettings)
    folder = Path(task.folder)
    decoder = Decoder(decode, tiling_for(task.model, engine), load(FlowSettings).max_bytes)
    host = EngineHost(engine, RecordedEngine(task.model, folder), memory=decoder.memory)
    files = [Path(file).read_bytes() for file in task.files]
    first_ids = count(0, JOBS_A_PHASE)
    found = {}
    try:
        host.identity  # noqa: B018 - blocks until the model is loaded
        for tokens in task.tokens:
            lengths = staggered(repeat(tokens), host.capacity())
            feed = Feed(files, decoder, task.question, lengths, 2 * decode.processes, next(first_ids))
            found[tokens] = asdict(_measure(host, feed, task.rounds, folder))
    finally:
        host.stop()
        decoder.stop()
    Path(task.answer).write_text(json.dumps(found), encoding="utf-8")


def _measure(host: EngineHost, feed: Feed, rounds: float, folder: Path) -> EngineAlone:
    slots = host.capacity()
    warm, window = max(slots, LEAST_WINDOW // 2), max(ceil(rounds * slots), LEAST_WINDOW)
    limit = Allowance(time.monotonic() + LIMIT_S, time.monotonic)
    seen = Saturator(host, feed).run(warm + window, limit)
    return _alone(seen, warm, window, slots, folder)


def _alone(seen: Saturated, warm: int, window: int, slots: int, folder: Path) -> EngineAlone:
    rates = steady_rates(seen.ended, warm, window)
    if rates is None:
        raise CommandError("the engine alone gave too few answers for a rate")
    busy_s = busy_seconds(read_activity(folder), rates.start, rates.end)
    return EngineAlone(
        rates.answers_per_s, rates.answers, rates.seconds, slots, busy_s / rates.seconds, seen.starved_fraction
    )


if __name__ == "__main__":
    main()
