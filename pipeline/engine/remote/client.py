"""Asks the model server one question at a time, and waits for it at the start."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from sightstream.pipeline.engine.health_check import HEALTH_CHECK_JOB
from sightstream.pipeline.engine.protocol import ProgressCallback
from sightstream.pipeline.engine.remote.abilities import Abilities, probes
from sightstream.pipeline.engine.remote.conversation import hold
from sightstream.pipeline.engine.remote.protocol import Answer, only_model, read_answer
from sightstream.pipeline.engine.remote.refusals import InvalidRequest
from sightstream.pipeline.engine.remote.request_body import BodyWriter, Turn
from sightstream.pipeline.engine.remote.server import ModelServer
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.errors import CapabilityMissing, Fatal, PipelineError, Rejected, Retryable
from sightstream.pipeline.internal_errors import judge
from sightstream.pipeline.types import Canvas, Completion, EngineJob, Pixels
from sightstream.schemas.wire.dead_letter import Reason, Stage

log = logging.getLogger(__name__)

HEALTH_CHECK = Turn(HEALTH_CHECK_JOB, (HEALTH_CHECK_JOB.question,), max_tokens=1)  # whether it answers at all
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 10.0


class ModelClient:
    """Turns each job into its outcome. `model` is the model's name on the server. Thread safe.

    A refusal counts only if the server passes the health check.
    """

    def __init__(self, settings: EngineSettings, on_progress: ProgressCallback, clock: Callable[[], float]) -> None:
        """Blocks until the server has answered once, `start_timeout_s` at most. Raises Fatal with what to change."""
        self._settings, self._clock = settings, clock
        self._server = ModelServer(settings)
        self._bodies = BodyWriter(settings.remote_image, settings.remote_choices)
        self._abilities = Abilities(clock)
        self.model = self._wait_for_server(on_progress)

    @property
    def pause_s(self) -> float:
        """Return how many seconds the server asked us to wait; it may be asked when this is not above 0."""
        return self._server.pause_s

    def outcome(self, job: EngineJob) -> Completion | PipelineError:
        """Blocks `remote_timeout_s`, a few times for each try at most. Raises Fatal when the server refuses everything.

        What the server is known to lack ends a job at once. A bug of ours that one job triggers ends that job alone,
        after three tries with a health check after each.
        """
        if missing := self._abilities.missing(job):
            return missing
        number = 0
        while True:
            number += 1
            try:
                return self._answer(job)
            except Retryable as error:
                return error
            except (Rejected, Fatal) as error:
                return self._confirm_refusal(error)
            except Exception as error:
                ending = judge(Stage.INFER, error, self._check_health, number)
            if isinstance(ending, Fatal):
                raise ending
            if ending is not None:
                return ending

    def _answer(self, job: EngineJob) -> Completion:
        try:
            return hold(job, self._ask)
        except Retryable:
            self._limit_s(job)
            raise
        except InvalidRequest:
            self._find_what_is_missing(job)
            raise

    def _find_what_is_missing(self, job: EngineJob) -> None:
        """Raise CapabilityMissing if the server refuses even the simplest question of the same kind."""
        for capability, probe in probes(job):
            try:
                self._send(probe, self.model, self._settings.remote_timeout_s)
            except InvalidRequest as error:
                missing = CapabilityMissing(capability, str(error))
                self._abilities.remember(missing)
                raise missing from error

    def _limit_s(self, job: EngineJob) -> float:
        """Return the seconds that an answer may take. Raises Rejected when it would come too late."""
        left = float("inf") if job.deadline is None else job.deadline - self._clock()
        if left <= 0:
            raise Rejected(Reason.DEADLINE_EXCEEDED, Stage.INFER, "the deadline passed before the model had answered")
        return min(left, self._settings.remote_timeout_s)

    def _ask(self, turn: Turn) -> Answer:
        """Ask with fewer log-probabilities, or none, where the server refuses so many."""
        refusal: InvalidRequest | None = None
        for wanted in self._abilities.logprobs(turn.top_logprobs):
            try:
                answer = self._send(replace(turn, top_logprobs=wanted), self.model, self._limit_s(turn.job))
            except InvalidRequest as error:
                refusal = refusal or error
                continue
            if refusal is not None:
                self._abilities.remember_logprobs(wanted)
            return answer
        raise refusal or AssertionError("nothing was asked")

    def _send(self, turn: Turn, model: str, limit_s: float) -> Answer:
        return read_answer(self._server.post("/chat/completions", self._bodies.write(turn, model), limit_s))

    def _confirm_refusal(self, error: Rejected | Fatal) -> PipelineError:
        """Return the error of a job whose refusal is real. Raises Fatal when the server fails the health check too."""
        if isinstance(error, Rejected) and error.reason is Reason.DEADLINE_EXCEEDED:
            return error
        try:
            self._check_health()
        except Retryable as down:
            return down
        return error if isinstance(error, Rejected) else Rejected(Reason.ENGINE_REFUSED, Stage.INFER, str(error))

    def _check_health(self) -> None:
        """Raises Retryable when the server can't be asked now, Fatal when it refuses even this."""
        try:
            self._send(HEALTH_CHECK, self.model, self._settings.remote_timeout_s)
        except Rejected as error:
            raise _refuses_everything(error) from error

    # --- the start ----------------------------------------------------------------------------------------

    def _wait_for_server(self, on_progress: ProgressCallback) -> str:
        """Return the name of the model that answers; waits for a server that is still starting."""
        end, pause_s = time.monotonic() + self._settings.start_timeout_s, FIRST_PAUSE_S
        while True:
            try:
                return self._check_model(min(self._settings.remote_timeout_s, max(1.0, end - time.monotonic())))
            except Rejected as error:
                raise _refuses_everything(error) from error
            except Retryable as error:
                log.warning("waiting for the model server: %s", error)
                if time.monotonic() > end:
                    raise Fatal(f"no model server within {self._settings.start_timeout_s:.0f} s: {error}") from error
            on_progress()
            time.sleep(max(pause_s, self.pause_s))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _check_model(self, limit_s: float) -> str:
        model = self._settings.remote_model or only_model(self._server.get("/models", limit_s))
        self._send(HEALTH_CHECK, model, limit_s)
        return model


def pixels_of(job: EngineJob) -> Pixels:
    """Raises TypeError for a canvas."""
    if isinstance(job.pixels, Canvas):
        raise TypeError("a model server scales and tiles images itself; give this engine pixels")
    return job.pixels


def _refuses_everything(error: PipelineError) -> Fatal:
    return Fatal(f"the model server refuses even the health check (does its model accept images?): {error}")
