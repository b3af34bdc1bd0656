"""What every engine does: take jobs, and say how each ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sightstream.pipeline.types import EngineJob, FinishedJob
from sightstream.schemas.wire.result import ModelIdentity

# To be called at every sign of progress.
ProgressCallback = Callable[[], None]


class Engine(Protocol):
    """Each submitted job ends in exactly one `FinishedJob`."""

    @property
    def identity(self) -> ModelIdentity:
        """Whose answers these are."""

    def submit(self, job: EngineJob) -> None:
        """Never blocks on a model."""

    def finished(self, timeout: float) -> list[FinishedJob]:
        """What ended since the last call; blocks `timeout` seconds at most when nothing did.

        An in-process engine does its work here. Raises Fatal when no job can be done any more.
        """

    def cancel(self, job_id: int) -> None:
        """The job's answer is not wanted: if it has not started, it ends as Cancelled and never will."""

    def capacity(self) -> int:
        """How many jobs are worth having in hand at once."""

    def stop(self) -> None:
        """Ends at once; what is unfinished is dropped."""
