"""Jobs for a remote engine, and how they end."""

from __future__ import annotations

import time
from typing import Any

from sightstream.pipeline.engine.protocol import Engine
from sightstream.pipeline.engine.remote.engine import RemoteEngine
from sightstream.pipeline.errors import PipelineError
from sightstream.pipeline.types import Completion, EngineJob, Pixels
from sightstream.schemas.wire.options import AnalysisOptions
from tests.pipeline.engine.remote.fake_server import Answer, FakeServer


def job(number: int = 1, question: str = "What is it?", deadline: float | None = None, **options: Any) -> EngineJob:
    pixels = Pixels(bytes(range(6 * 4 * 3)), 6, 4, "PNG")
    return EngineJob(number, pixels, question, AnalysisOptions(**({"max_tokens": 64} | options)), deadline=deadline)


def endings(engine: Engine, count: int, wait_limit_s: float = 30) -> dict[int, Completion | PipelineError]:
    found: dict[int, Completion | PipelineError] = {}
    until = time.monotonic() + wait_limit_s
    while len(found) < count and time.monotonic() < until:
        for finished in engine.finished(0.05):
            assert finished.id not in found
            found[finished.id] = finished.outcome
    assert len(found) == count
    return found


def ending(answer: Answer, asked: EngineJob | None = None, **changes: object) -> Completion | PipelineError:
    """How one job ends at a server that answers so, the health check excepted."""
    with FakeServer(answer) as server:
        engine = RemoteEngine(server.settings(**changes), lambda: None)
        engine.submit(asked or job())
        outcome = endings(engine, 1)[1]
        engine.stop()
    return outcome
