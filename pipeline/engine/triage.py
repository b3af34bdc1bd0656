"""Isolates poison jobs by group testing: finds the job that crashes the engine without rejecting its neighbours.

After a crash every job that the engine had is suspect, and is sent again in groups: a group without poison is answered,
and a group that crashes the engine is split further. A job that crashes it alone is poison. It is rejected once the
engine has passed a health check, because crashes of a broken engine prove nothing about a job.

A kill from outside, such as an operator's or that of a machine out of memory, is no crash: it blames no job that was in
company, and a job alone only at the third time. A health check follows each, so that kills alone never look like a
broken engine.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator

from sightstream.pipeline.engine.health_check import HEALTH_CHECK_JOB
from sightstream.pipeline.errors import Rejected
from sightstream.pipeline.types import EngineJob, FinishedJob
from sightstream.schemas.wire.dead_letter import Reason, Stage

# A crash costs a start of the engine, and a good group only the time of its answers: so many groups, rather than two.
GROUPS = 8

MAX_KILLS_ALONE = 3  # one may be chance, and so may a second that hits the same job


class Triage:
    """Chooses the jobs to send, and decides after crashes which of them are poison. Not thread safe.

    Of `n` jobs sent at a crash, each poison one costs at most ceil(log8 n) more crashes (one, if there was a single
    job). However many are poison, no more than that follow each other without an answer between them, as long as the
    engine passes the health check.
    """

    def __init__(self, health_check: EngineJob = HEALTH_CHECK_JOB) -> None:
        self._health_check = health_check
        self._waiting: deque[EngineJob] = deque()
        self._suspects: deque[list[EngineJob]] = deque()
        self._sent: dict[int, EngineJob] = {}
        self._isolated = 0  # how many suspects were sent together; 0: the jobs sent are not suspect
        self._likely_poison: list[FinishedJob] = []  # until the health check
        self._kills_alone: Counter[int] = Counter()  # by job
        self._answered = False  # since the last crash

    def add(self, job: EngineJob) -> None:
        self._waiting.append(job)

    def drop(self, job_id: int) -> bool:
        """Forget a job that was not sent. Return False when it was sent or is unknown."""
        for jobs in (self._waiting, *self._suspects):
            for job in jobs:
                if job.id == job_id:
                    jobs.remove(job)
                    del self._kills_alone[job_id]
                    self._suspects = deque(group for group in self._suspects if group)
                    return True
        return False

    @property
    def waiting(self) -> int:
        """Return how many jobs the process does not have yet, or has no more."""
        return len(self._waiting) + sum(map(len, self._suspects))

    @property
    def busy(self) -> bool:
        """Return whether the process has a job."""
        return bool(self._sent)

    @property
    def is_idle(self) -> bool:
        """Return whether there is no job at all."""
        return not (self._sent or self._waiting or self._suspects)

    def to_send(self, capacity: int) -> Iterator[EngineJob]:
        """Yield the jobs to send now, so that the process has at most `capacity`.

        A group of suspects is sent when the process has no job, and no others are added to it.
        """
        if self._suspects and not self._sent:
            group = self._suspects.popleft()
            self._isolated = len(group)
            yield from map(self._send, group)
        while self._waiting and not self._isolated and len(self._sent) < capacity:
            yield self._send(self._waiting.popleft())

    def health_check(self, *, alone: bool) -> list[EngineJob]:
        """Return the health check, to be sent now to a process without a job; `alone` keeps others back meanwhile."""
        if self._suspects and self._suspects[0] == [self._health_check]:
            self._suspects.popleft()
        self._isolated = int(alone)
        return [self._send(self._health_check)]

    def health_check_failed(self) -> list[FinishedJob]:
        """Record that the process has finished the health check, and is not well: nothing ends by that."""
        self._sent.pop(self._health_check.id, None)
        if not self._sent:
            self._isolated = 0
        return []

    def _send(self, job: EngineJob) -> EngineJob:
        self._sent[job.id] = job
        return job

    def finished(self, finished: FinishedJob) -> list[FinishedJob]:
        """Record that the process has finished a job; return all jobs that end by it, none if it was not sent."""
        if self._sent.pop(finished.id, None) is None:
            return []
        del self._kills_alone[finished.id]
        self._answered = True
        if not self._sent:
            self._isolated = 0
        return self._reject_poison() if finished.id == self._health_check.id else [finished]

    def crashed(self, *, killed: bool = False) -> int:
        """Record that the process has ended with every job that it had; `killed` by a signal from outside.

        Return how many jobs of ours it had.
        """
        sent, self._sent = list(self._sent.values()), {}
        isolated, self._isolated = self._isolated, 0
        if isolated != 1:
            self._suspect([job for job in sent if job.id != self._health_check.id])
        elif sent[0].id != self._health_check.id:
            self._suspect_alone(sent[0], killed)
        if sent and (killed or isolated == 1):
            self._suspects.appendleft([self._health_check])
        self._answered = False
        return sum(job.id != HEALTH_CHECK_JOB.id for job in sent)

    def _suspect(self, jobs: list[EngineJob]) -> None:
        """Queue jobs in groups: last, since earlier groups may have no poison, but first after crashes only.

        Then a single poison job, and the health check after it, soon show whether the engine works at all.
        """
        groups = [group for group in (jobs[start::GROUPS] for start in range(GROUPS)) if group]
        if self._answered:
            self._suspects.extend(groups)
        else:
            self._suspects.extendleft(reversed(groups))

    def _suspect_alone(self, job: EngineJob, killed: bool) -> None:
        if not killed:
            self._likely_poison.append(_engine_crash(job, "the engine crashed or hung on this image with no other job"))
            return
        self._kills_alone[job.id] += 1
        if self._kills_alone[job.id] < MAX_KILLS_ALONE:
            self._suspects.appendleft([job])
        else:
            detail = f"the engine was killed {MAX_KILLS_ALONE} times while it had this image alone; is memory short?"
            self._likely_poison.append(_engine_crash(job, detail))

    def _reject_poison(self) -> list[FinishedJob]:
        poison, self._likely_poison = self._likely_poison, []
        for job in poison:
            del self._kills_alone[job.id]
        return poison


def _engine_crash(job: EngineJob, detail: str) -> FinishedJob:
    return FinishedJob(job.id, Rejected(Reason.ENGINE_CRASH, Stage.INFER, detail))
