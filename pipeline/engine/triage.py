"""Which jobs to hand to an engine process that may die, so that only the guilty one pays.

When the process dies, all that it held is suspect and is tried again in groups: the innocent ones are answered
together, and a group that dies is split further. A job that dies by itself, having died in company before, is guilty,
and is told so once the engine has answered a plain picture: a broken engine proves nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from sightstream.pipeline.engine.health_check import HEALTH_CHECK_JOB
from sightstream.pipeline.errors import Rejected
from sightstream.pipeline.types import EngineJob, FinishedJob
from sightstream.schemas.wire.dead_letter import Reason, Stage

# A death costs a start of the engine, a group that lives only the time of its answers: rather many groups than halves.
GROUPS = 8


class Triage:
    """Not thread safe.

    Of `n` jobs held at a death, each guilty one costs at most ceil(log8 n) deaths more (one, of a single job). Nor do
    more follow each other without an answer between, however many are guilty, while the plain picture is answered.
    """

    def __init__(self) -> None:
        self._waiting: deque[EngineJob] = deque()
        self._suspects: deque[list[EngineJob]] = deque()
        self._sent: dict[int, EngineJob] = {}
        self._on_trial = 0  # how many suspects were sent together; 0: what was sent is not suspect
        self._accused: list[EngineJob] = []
        self._alive = False  # something was answered since the last death

    def add(self, job: EngineJob) -> None:
        self._waiting.append(job)

    def drop(self, job_id: int) -> bool:
        """Forgets a job that is not with the process. False: it is, or is unknown."""
        for jobs in (self._waiting, *self._suspects):
            for job in jobs:
                if job.id == job_id:
                    jobs.remove(job)
                    self._suspects = deque(group for group in self._suspects if group)
                    return True
        return False

    @property
    def busy(self) -> bool:
        """Whether the process holds a job."""
        return bool(self._sent)

    def to_send(self, capacity: int) -> Iterator[EngineJob]:
        """Jobs to hand over now, at most `capacity` in the process: a group of suspects goes when it is empty, and is
        not joined by others."""
        if self._suspects and not self._sent:
            group = self._suspects.popleft()
            self._on_trial = len(group)
            yield from map(self._send, group)
        while self._waiting and not self._on_trial and len(self._sent) < capacity:
            yield self._send(self._waiting.popleft())

    def _send(self, job: EngineJob) -> EngineJob:
        self._sent[job.id] = job
        return job

    def ended(self, finished: FinishedJob) -> list[FinishedJob]:
        """The process is done with a job. What can be told of it and of others now; nothing if it did not hold it."""
        if self._sent.pop(finished.id, None) is None:
            return []
        self._alive = True
        if not self._sent:
            self._on_trial = 0
        return self._verdicts() if finished.id == HEALTH_CHECK_JOB.id else [finished]

    def died(self) -> None:
        """The process is gone with all that it held."""
        held, self._sent = list(self._sent.values()), {}
        on_trial, self._on_trial = self._on_trial, 0
        if on_trial == 1:
            self._accuse(held[0])
        else:
            self._suspect(held)
        self._alive = False

    def _suspect(self, jobs: list[EngineJob]) -> None:
        """The groups go last, since those before them may be innocent; first when nothing but deaths comes: then a
        single guilty job, and the plain picture after it, show soon whether the engine works at all."""
        groups = [group for group in (jobs[start::GROUPS] for start in range(GROUPS)) if group]
        if self._alive:
            self._suspects.extend(groups)
        else:
            self._suspects.extendleft(reversed(groups))

    def _accuse(self, job: EngineJob) -> None:
        if job.id != HEALTH_CHECK_JOB.id:
            self._accused.append(job)
        self._suspects.appendleft([HEALTH_CHECK_JOB])

    def _verdicts(self) -> list[FinishedJob]:
        accused, self._accused = self._accused, []
        return [FinishedJob(job.id, _verdict()) for job in accused]


def _verdict() -> Rejected:
    detail = "the engine died or hung twice on this image, once alone"
    return Rejected(Reason.ENGINE_CRASH, Stage.INFER, detail)
