"""Asks the model server one question at a time, and waits for it at the start."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from sightstream.pipeline.engine.health_check import HEALTH_CHECK_JOB
from sightstream.pipeline.engine.protocol import ProgressCallback
from sightstream.pipeline.engine.remote.protocol import only_model, question_body, read_answer
from sightstream.pipeline.engine.remote.server import ModelServer
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.errors import Fatal, PipelineError, Rejected, Retryable
from sightstream.pipeline.internal_errors import judge
from sightstream.pipeline.types import Canvas, Completion, EngineJob, Pixels
from sightstream.schemas.wire.dead_letter import Reason, Stage

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 10.0


class ModelClient:
    """Turns each job into its outcome. `model` is the model's name on the server. Thread safe.

    A refusal counts only if the server passes the health check.
    """

    def __init__(self, settings: EngineSettings, on_progress: ProgressCallback, clock: Callable[[], float]) -> None:
        """Blocks until the server has answered once, `start_timeout_s` at most. Raises Fatal with what to change."""
        self._settings, self._clock = settings, clock
        self._server = ModelServer(settings)
        self.model = self._wait_for_server(on_progress)

    @property
    def pause_s(self) -> float:
        """Return how many seconds the server asked us to wait; it may be asked when this is not above 0."""
        return self._server.pause_s

    def outcome(self, job: EngineJob) -> Completion | PipelineError:
        """Blocks `remote_timeout_s`, twice for each try at most. Raises Fatal when the server refuses everything.

        A bug of ours that one job triggers ends that job alone, after three tries with a health check after each.
        """
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
            return self._ask(job, self.model, self._limit_s(job))
        except Retryable:
            self._limit_s(job)
            raise

    def _limit_s(self, job: EngineJob) -> float:
        """Return the seconds that an answer may take. Raises Rejected when it would come too late."""
        left = float("inf") if job.deadline is None else job.deadline - self._clock()
        if left <= 0:
            raise Rejected(Reason.DEADLINE_EXCEEDED, Stage.INFER, "the deadline passed before the model had answered")
        return min(left, self._settings.remote_timeout_s)

    def _ask(self, job: EngineJob, model: str, limit_s: float) -> Completion:
        body = question_body(job, pixels_of(job), model, self._settings.remote_image)
        return read_answer(self._server.post("/chat/completions", body, limit_s))

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
            self._ask(HEALTH_CHECK_JOB, self.model, self._settings.remote_timeout_s)
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
        self._ask(HEALTH_CHECK_JOB, model, limit_s)
        return model


def pixels_of(job: EngineJob) -> Pixels:
    """Raises TypeError for a canvas."""
    if isinstance(job.pixels, Canvas):
        raise TypeError("a model server scales and tiles images itself; give this engine pixels")
    return job.pixels


def _refuses_everything(error: PipelineError) -> Fatal:
    return Fatal(f"the model server refuses even the health check (does its model accept images?): {error}")
