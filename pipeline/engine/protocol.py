"""The contract of every engine: it accepts jobs, and reports how each of them ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from sightstream.pipeline.engine.status import EngineStatus
from sightstream.pipeline.types import EngineJob, FinishedJob
from sightstream.schemas.wire.result import ModelIdentity

# An engine calls it whenever its work has advanced.
ProgressCallback = Callable[[], None]


class Engine(Protocol):
    """Ends each submitted job with exactly one `FinishedJob`."""

    @property
    def identity(self) -> ModelIdentity:
        """The model that answers."""

    def submit(self, job: EngineJob) -> None:
        """Accept a job. Never blocks on a model."""

    def finished(self, timeout: float) -> list[FinishedJob]:
        """Return the jobs that have ended since the last call; block at most `timeout` seconds while there are none.

        An in-process engine does its work here. Raises Fatal when the engine can't do any job any more.
        """

    def cancel(self, job_id: int) -> None:
        """Give up a job. One that has not started ends as Cancelled; one that has may still be answered."""

    def capacity(self) -> int:
        """Return how many jobs the engine can use at once."""

    def running(self) -> int:
        """Return how many jobs it answers now; its other jobs wait."""

    def stop(self) -> None:
        """End at once and drop all unfinished jobs."""


@runtime_checkable
class SupervisedEngine(Protocol):
    """An engine that is known to answer rightly, or not. Nothing here blocks."""

    @property
    def accepts_work(self) -> bool:
        """Whether it may get work: from the first right answer to its known-good job until a wrong one."""

    def status(self) -> EngineStatus:
        """Return what probes ask for."""
