"""Constraints without a grammar: they allow what the fake model says."""

from __future__ import annotations

from typing import Any

from sightstream.pipeline.types import EngineJob
from tests.pipeline.engine.slots.fake_runner import END


def piece(token: int) -> bytes:
    return b"" if token == END else f"{token},".encode()


class FakeConstraint:
    """Anything may follow, and the answer may end anywhere."""

    is_complete, must_end = True, False

    def __init__(self) -> None:
        self.seen: list[int] = []

    def accept(self, token: int) -> None:
        self.seen.append(token)


class FakeGrammars:
    """A `GrammarQueue` without a thread: what waits is compiled when somebody asks, unless it is slow."""

    def __init__(self, _: Any) -> None:
        self.slow = False
        self._jobs: dict[int, EngineJob] = {}

    @property
    def has_work(self) -> bool:
        return bool(self._jobs)

    def add(self, job: EngineJob) -> None:
        self._jobs[job.id] = job

    def cancel(self, job_id: int) -> bool:
        return self._jobs.pop(job_id, None) is not None

    def compiled(self, _: float) -> list[tuple[EngineJob, FakeConstraint]]:
        if self.slow:
            return []
        done, self._jobs = self._jobs, {}
        return [(job, FakeConstraint()) for job in done.values()]

    def pieces(self, tokens: list[int]) -> list[bytes]:
        return [piece(token) for token in tokens]
