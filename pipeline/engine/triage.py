"""Which job to hand to an engine process that may die, so that only the guilty one pays.

When the process dies, what it held is suspect and is tried again alone, one job at a time; a job that dies alone
once more is guilty. Jobs that were only near it are answered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from pipeline.types import EngineJob


class Triage:
    """Not thread safe."""

    def __init__(self) -> None:
        self._waiting: deque[EngineJob] = deque()
        self._suspects: deque[EngineJob] = deque()
        self._sent: dict[int, EngineJob] = {}
        self._alone = False

    def add(self, job: EngineJob) -> None:
        self._waiting.append(job)

    def try_alone(self, job: EngineJob) -> None:
        """`job` is the next to go, and goes alone."""
        self._suspects.appendleft(job)

    def drop(self, job_id: int) -> bool:
        """Forgets a job that is not with the process. False: it is, or is unknown."""
        for jobs in (self._waiting, self._suspects):
            for job in jobs:
                if job.id == job_id:
                    jobs.remove(job)
                    return True
        return False

    @property
    def busy(self) -> bool:
        """Whether the process holds a job."""
        return bool(self._sent)

    def to_send(self, capacity: int) -> Iterator[EngineJob]:
        """Jobs to hand over now, at most `capacity` in the process: a suspect goes when it is empty, and alone."""
        if self._suspects and not self._sent:
            self._alone = True
            yield self._send(self._suspects.popleft())
        while self._waiting and not self._alone and not self._suspects and len(self._sent) < capacity:
            yield self._send(self._waiting.popleft())

    def _send(self, job: EngineJob) -> EngineJob:
        self._sent[job.id] = job
        return job

    def ended(self, job_id: int) -> bool:
        """The process is done with a job. False: it did not hold it."""
        known = self._sent.pop(job_id, None) is not None
        if not self._sent:
            self._alone = False
        return known

    def died(self) -> EngineJob | None:
        """The process is gone with all that it held. The job that is proven guilty, if any."""
        held, self._sent = list(self._sent.values()), {}
        alone, self._alone = self._alone, False
        if alone and held:
            return held[0]
        self._suspects.extend(held)
        return None
