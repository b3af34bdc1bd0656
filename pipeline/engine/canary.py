"""The canary: when the engine gets its known-good job, whether the answer is right, and what follows if it is not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum, auto

from sightstream.pipeline.engine.health_check import canary_job
from sightstream.pipeline.engine.known_answer import CanaryRecords, KnownAnswer, MemoryRecords
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.errors import CapabilityMissing, PipelineError, Retryable
from sightstream.pipeline.metrics import CANARY_FAILURES, CANARY_OK
from sightstream.pipeline.types import Completion
from sightstream.schemas.wire.result import ModelIdentity

log = logging.getLogger(__name__)

RETRY_PAUSE_S = 2.0
MAX_FAILURES = 3  # in a row, before the engine's process is replaced; as many again, and the worker stops
MAX_SHOWN = 80


class NextStep(Enum):
    """What the engine's host does after a canary. GO_ON lets it send other jobs."""

    GO_ON = auto()
    ASK_AGAIN = auto()
    REPLACE = auto()
    GIVE_UP = auto()


class Canary:
    """Used by the host's thread; other threads may read what is public.

    `blocks` says that the engine gets no other job: until a new process has answered rightly, and from a wrong answer
    on. `accepts_work` is false from the start, and from a wrong answer, until a right one. `problem` says why the
    answer is not known to be right, and `unreachable` why there was none.
    """

    def __init__(
        self, settings: EngineSettings, clock: Callable[[], float], records: CanaryRecords | None = None
    ) -> None:
        """Raises Fatal when a file with the known answer can't be read."""
        self.job = canary_job(settings)
        self.blocks, self.accepts_work = True, False
        self.problem: str | None = "not asked yet"
        self.unreachable: str | None = None
        self._interval_s, self._timeout_s = settings.canary_interval_s, settings.canary_timeout_s
        self._known = KnownAnswer(settings, records or MemoryRecords())
        self._clock = clock
        self._failures = 0  # in a row, over processes
        self._sent_at: float | None = None
        self._due_at = clock()
        self._kind = settings.kind
        self._failure_count = CANARY_FAILURES.labels(self._kind)

    def begin(self, model: ModelIdentity, device: str) -> None:
        """A new process has loaded the model. Reads the checkpoint's small files; raises Fatal when it can't."""
        self._known.begin(model, device)
        self._due_at = self._clock()

    def interrupt(self) -> None:
        """The process is another one: what was asked will not be answered."""
        self.blocks, self._sent_at = True, None

    def is_due(self, *, idle: bool) -> bool:
        """Return whether to send the job now; `idle` says that the engine has no job and none waits."""
        return idle and self._sent_at is None and self._clock() >= self._due_at

    def sent(self) -> None:
        self._sent_at = self._clock()

    def worked(self) -> None:
        """The engine has answered another job: while it does, no canary is needed."""
        if not self.blocks:
            self._due_at = self._clock() + self._interval_s

    @property
    def late_s(self) -> float | None:
        """For how long the answer is overdue, None if it is not."""
        sent_at = self._sent_at
        late_s = 0.0 if sent_at is None else self._clock() - sent_at - self._timeout_s
        return late_s if late_s > 0 else None

    def judge(self, outcome: Completion | PipelineError) -> NextStep:
        """Decide what follows from how the job ended."""
        self._sent_at, pause_s = None, RETRY_PAUSE_S
        if isinstance(outcome, Retryable):
            step = self._miss(outcome)
        elif isinstance(outcome, CapabilityMissing) or (
            isinstance(outcome, Completion) and self._known.accepts(outcome)
        ):
            step, pause_s = self._pass(), self._interval_s
        else:
            step = self._fail(outcome)
        self._due_at = self._clock() + pause_s
        return step

    def _miss(self, error: Retryable) -> NextStep:
        """Nothing is known: what was right before goes on, so that jobs meet the outage and wait for its end."""
        self.unreachable = str(error)
        self.blocks = not self.accepts_work
        return NextStep.ASK_AGAIN if self.blocks else NextStep.GO_ON

    def _pass(self) -> NextStep:
        CANARY_OK.labels(self._kind).set(1)
        self.blocks, self.accepts_work, self.problem, self.unreachable = False, True, None, None
        self._failures = 0
        return NextStep.GO_ON

    def _fail(self, outcome: Completion | PipelineError) -> NextStep:
        CANARY_OK.labels(self._kind).set(0)
        self._failure_count.inc()
        self._failures += 1
        self.blocks, self.accepts_work, self.unreachable = True, False, None
        self.problem = f"wrong {self._failures} times in a row"
        log.error("the engine fails its known-good job (%s): %s", self.problem, _shown(outcome))
        if self._failures == MAX_FAILURES:
            return NextStep.REPLACE
        return NextStep.GIVE_UP if self._failures == 2 * MAX_FAILURES else NextStep.ASK_AGAIN

    @property
    def last_words(self) -> str:
        """Why the worker stops, and what to do."""
        return (
            f"the engine answered its known-good job wrongly {self._failures} times in a row, also in a new process "
            f"(compared with {self._known.origin or 'the colour of the image'}); look at the device and its driver. If "
            "the model's answer has changed on purpose, remove that record from state_dir, or name a file with its "
            "beginning (an empty one accepts any answer) by SIGHTSTREAM_ENGINE_CANARY_FILE"
        )


def _shown(outcome: Completion | PipelineError) -> str:
    return repr(outcome.text[:MAX_SHOWN]) if isinstance(outcome, Completion) else str(outcome)
