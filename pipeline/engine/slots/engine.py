"""Continuous batching: all answers are written together, a token each a step; who is done makes room at once."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch

from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.protocol import ProgressCallback
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.slots.batch import Batch
from sightstream.pipeline.engine.slots.decode_step import PendingTokens
from sightstream.pipeline.engine.slots.model_runner import ModelRunner
from sightstream.pipeline.engine.slots.prefill import GROUP, GROUP_TOKENS
from sightstream.pipeline.engine.slots.request import Request
from sightstream.pipeline.engine.slots.request_builder import RequestBuilder
from sightstream.pipeline.errors import Cancelled, PipelineError, Rejected
from sightstream.pipeline.types import Completion, EngineJob, FinishedJob
from sightstream.schemas.wire.dead_letter import Reason, Stage

log = logging.getLogger(__name__)

GROUPS_AHEAD = 2  # so that the device never waits for the host between two
WELL_FILLED = 0.95  # of the slots, or of the pages of text
MAX_RESTARTS = 3  # without an answer between: after that, the batch is not what takes the memory


@dataclass(frozen=True, slots=True)
class _Prefilling:
    requests: list[Request]
    first_tokens: PendingTokens


class SlotEngine:
    """An `Engine` that works while `finished` is called: one decode step for all, and prefilling beside it.

    Not thread safe. What the device can't go on from is raised from `finished`: the process is then to be ended.
    Out of memory, it begins what is in work anew, in a smaller batch; when that does not help, it is raised too.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        settings: EngineSettings,
        beat: ProgressCallback,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` is the time of day in seconds since 1970, for deadlines. Raises Fatal."""
        self.identity = checkpoint.identity
        self._beat, self._clock = beat, clock
        self._builder = RequestBuilder(checkpoint, settings)
        with torch.inference_mode():
            self._runner = ModelRunner(checkpoint, settings, self._builder.max_context)
        self._waiting: deque[Request] = deque()
        self._prefilling: deque[_Prefilling] = deque()
        self._batch = Batch(self._runner.table)
        self._ended: list[FinishedJob] = []
        self._restarts = 0

    def submit(self, job: EngineJob) -> None:
        try:
            self._waiting.append(self._builder.build(job))
        except PipelineError as error:
            self._ended.append(FinishedJob(job.id, error))

    def finished(self, timeout: float) -> list[FinishedJob]:
        self._drop_late()
        if self._held():
            self._step_or_restart()
        elif not self._ended:
            time.sleep(timeout)
        ended, self._ended = self._ended, []
        return ended

    def cancel(self, job_id: int) -> None:
        """Ends it in mid-answer too: the room is worth more than the rest of it."""
        for request in self._held():
            if request.job.id == job_id:
                self._drop(request, Cancelled("cancelled before it was answered"))

    def capacity(self) -> int:
        return self._runner.capacity.slots

    def stop(self) -> None:
        self._waiting.clear()
        self._prefilling.clear()
        self._batch.requests.clear()

    # --- one turn -----------------------------------------------------------------------------------------

    def _step_or_restart(self) -> None:
        if not self._step_fits():
            self._restart_all()  # not where the error is handled: its traceback holds on to the pages
        self._beat()

    def _step_fits(self) -> bool:
        try:
            with torch.inference_mode():
                self._step()
        except torch.OutOfMemoryError:
            if self._runner.capacity.slots == 1 or self._restarts == MAX_RESTARTS:
                raise  # it may be one request: a fresh process, and then fewer at a time, will show which
            log.warning("out of memory with %s slots; going on with fewer", self._runner.capacity.slots)
            return False
        return True

    def _step(self) -> None:
        self._launch_prefills()
        rows = 0 if self._should_fill_first() else len(self._batch)
        if rows:
            step = self._runner.decode(rows, self._batch.draws())
            self._batch.advance(step.tokens())
            self._release()
        self._join_prefilled(wait=not rows)

    def _should_fill_first(self) -> bool:
        """Whether the batch is better filled before its next step: a step costs nearly the same for fewer rows."""
        if not (self._waiting and self._prefilling):
            return False
        capacity = self._runner.capacity
        pages = sum(len(request.pages) for request in self._batch)
        return max(len(self._batch) / capacity.slots, pages / capacity.pages) < WELL_FILLED

    def _launch_prefills(self) -> None:
        """A group that is not full goes only when none is before it."""
        while len(self._prefilling) < GROUPS_AHEAD:
            group = self._next_group()
            if not group or (self._prefilling and len(group) < GROUP):
                return
            for request in group:
                request.pages = self._runner.kv.pages.allocate(request.pages_needed)
                request.tile_pages = self._runner.kv.tiles.allocate(request.tiles)
            first_tokens = self._runner.prefill(group)  # may find no memory: until then they wait
            self._prefilling.append(_Prefilling(group, first_tokens))
            for _ in group:
                self._waiting.popleft()

    def _next_group(self) -> list[Request]:
        """The longest waiting, as far as there is room: nobody is overtaken."""
        kv, in_work = self._runner.kv, len(self._batch) + sum(len(group.requests) for group in self._prefilling)
        pages, tiles, longest = len(kv.pages), len(kv.tiles), 0
        group: list[Request] = []
        for request in list(self._waiting)[: min(GROUP, self._runner.capacity.slots - in_work)]:
            pages, tiles = pages - request.pages_needed, tiles - request.tiles
            longest = max(longest, len(request.prompt))
            if min(pages, tiles) < 0 or (group and longest * (len(group) + 1) > GROUP_TOKENS):
                break
            group.append(request)
        return group

    def _join_prefilled(self, *, wait: bool) -> None:
        """The groups that are ready; `wait` for the first."""
        while self._prefilling and (wait or self._prefilling[0].first_tokens.ready()):
            wait = False
            tokens = self._prefilling[0].first_tokens.tokens()
            for request, token in zip(self._prefilling.popleft().requests, tokens, strict=True):
                self._batch.join(request, request.policy.accept(token))
            self._release()

    def _release(self) -> None:
        """Who is done leaves."""
        for request in [request for request in self._batch if request.is_finished]:
            self._batch.leave(request)
            self._runner.kv.pages.free(request.pages)
            self._runner.kv.tiles.free(request.tile_pages)
            self._ended.append(FinishedJob(request.job.id, self._outcome(request)))
            self._restarts = 0

    def _outcome(self, request: Request) -> Completion | PipelineError:
        if request.dropped is not None:
            return request.dropped
        policy = request.policy
        assert policy.finish_reason is not None  # noqa: S101
        return Completion(
            self._builder.decode(policy.tokens), policy.finish_reason, len(request.prompt), policy.num_tokens
        )

    # --- what does not end in its time --------------------------------------------------------------------

    def _held(self) -> list[Request]:
        prefilling = [request for group in self._prefilling for request in group.requests]
        return [*self._batch, *prefilling, *self._waiting]

    def _drop_late(self) -> None:
        now = self._clock()
        for request in self._held():
            if request.job.deadline is not None and now > request.job.deadline:
                detail = "the deadline passed before the answer was written"
                self._drop(request, Rejected(Reason.DEADLINE_EXCEEDED, Stage.INFER, detail))

    def _drop(self, request: Request, why: PipelineError) -> None:
        """At once when it waits, else when the device is done with its rows."""
        request.dropped = request.dropped or why
        if request in self._waiting:
            self._waiting.remove(request)
            self._ended.append(FinishedJob(request.job.id, request.dropped))

    def _restart_all(self) -> None:
        held = self._held()
        self._restarts += 1
        self._waiting.clear()
        self._prefilling.clear()
        with torch.inference_mode():
            self._runner.reduce_capacity()
        self._batch = Batch(self._runner.table)
        for request in held:
            if request.dropped is None:
                self.submit(request.job)
            else:
                self._ended.append(FinishedJob(request.job.id, request.dropped))
