"""The simulated engine answers in the time that a question asks for, so that answers overtake each other."""

from __future__ import annotations

import time

from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.simulated import SECONDS, SimulatedEngine
from sightstream.pipeline.types import Completion, EngineJob, Pixels
from sightstream.schemas.wire.options import AnalysisOptions


def job(number: int, question: str) -> EngineJob:
    return EngineJob(number, Pixels(b"rgb", 1, 1, "PNG"), question, AnalysisOptions())


def ended(engine: SimulatedEngine, count: int) -> list[int]:
    found: list[int] = []
    deadline = time.monotonic() + 30
    while len(found) < count and time.monotonic() < deadline:
        found += [each.id for each in engine.finished(0.05)]
    return found


def engine(max_batch: int = 4) -> SimulatedEngine:
    return SimulatedEngine(EngineSettings(kind="simulated", simulated_s=0, max_batch=max_batch), lambda: None)


def test_a_slow_answer_is_overtaken() -> None:
    simulated = engine()
    simulated.submit(job(1, SECONDS + "0.4 r000001"))
    for number in (2, 3):
        simulated.submit(job(number, "What is it?"))
    assert ended(simulated, 3) == [2, 3, 1]


def test_no_more_than_a_batch_is_answered_at_once() -> None:
    simulated = engine(max_batch=1)
    simulated.submit(job(1, SECONDS + "0.2"))
    simulated.submit(job(2, "What is it?"))
    assert ended(simulated, 2) == [1, 2]


def test_the_answer_does_not_depend_on_the_time() -> None:
    simulated = engine()
    simulated.submit(job(1, SECONDS + "0.1"))
    simulated.submit(job(2, SECONDS + "0.0"))
    texts: set[str] = set()
    while len(texts) == 0 or simulated._started:
        texts |= {each.outcome.text for each in simulated.finished(0.05) if isinstance(each.outcome, Completion)}
    assert len(texts) == 1
