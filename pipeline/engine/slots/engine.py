"""Continuous batching: every step adds a token to all running answers, and a finished one is replaced at once."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice

import torch

from sightstream.pipeline.constraints.compiler import ConstraintCompiler
from sightstream.pipeline.constraints.token_constraint import TokenConstraint
from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.protocol import ProgressCallback
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.slots.batch import DecodeBatch
from sightstream.pipeline.engine.slots.completion import CompletionReader
from sightstream.pipeline.engine.slots.constrained_answer import ScoredChoice
from sightstream.pipeline.engine.slots.grammar_queue import GrammarQueue
from sightstream.pipeline.engine.slots.model_runner import ModelRunner
from sightstream.pipeline.engine.slots.pending_tokens import PendingTokens
from sightstream.pipeline.engine.slots.phase_timer import PhaseTimer, untimed
from sightstream.pipeline.engine.slots.request import Request
from sightstream.pipeline.engine.slots.request_builder import RequestBuilder
from sightstream.pipeline.engine.slots.sampling import ConstrainedRows, SamplingBatch
from sightstream.pipeline.engine.slots.scheduler import Scheduler
from sightstream.pipeline.engine.slots.vision import VisionEncoder
from sightstream.pipeline.errors import Cancelled, PipelineError
from sightstream.pipeline.types import Completion, EngineJob, FinishedJob
from sightstream.schemas.wire.response_format import JsonSchemaFormat

log = logging.getLogger(__name__)


class SlotEngine:
    """Runs what the `Scheduler` decides on the `ModelRunner`, while `finished` is called. Not thread safe.

    Each call makes one decode step for all running requests, and prefills others beside it. `finished` raises the
    errors that the device can't recover from: the caller must then end the process. After an out-of-memory error it
    restarts what it holds in a smaller batch, and raises when that does not help.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        settings: EngineSettings,
        on_progress: ProgressCallback,
        clock: Callable[[], float] = time.time,
        timed: PhaseTimer = untimed,
    ) -> None:
        """`clock` is the time of day in seconds since 1970, for deadlines. Raises Fatal."""
        self.identity = checkpoint.identity
        self._on_progress, self._clock = on_progress, clock
        self._builder = RequestBuilder(checkpoint, settings)
        with torch.inference_mode():
            self._runner = ModelRunner(checkpoint, settings, self._builder.max_context, timed)
        self._scheduler = Scheduler(self._runner.capacity)
        self._first_tokens: deque[PendingTokens] = deque()  # one for each group that is prefilling
        self._batch = DecodeBatch(self._runner.inputs)
        self._grammars = GrammarQueue(partial(_compiler, checkpoint, self._builder.ends))
        self._completions = CompletionReader(self._builder.reader, self._builder.choices, self._grammars.pieces)
        self._ended: list[FinishedJob] = []

    def submit(self, job: EngineJob) -> None:
        """JSON waits until its grammar is compiled, and is overtaken meanwhile."""
        if isinstance(job.response_format, JsonSchemaFormat):
            self._grammars.add(job)
        else:
            self._admit(job)

    def finished(self, timeout: float) -> list[FinishedJob]:
        idle = not (self._scheduler.has_work or self._ended)
        self._admit_compiled(timeout if idle else 0)
        self._end(self._scheduler.drop_late(self._clock()))
        if self._scheduler.has_work:
            self._step_or_restart()
        ended, self._ended = self._ended, []
        return ended

    def cancel(self, job_id: int) -> None:
        """Also stops a running request: its KV pages are worth more than an answer nobody wants."""
        if self._grammars.cancel(job_id):
            self._ended.append(FinishedJob(job_id, Cancelled("cancelled before it was answered")))
        self._end(self._scheduler.cancel(job_id))

    def capacity(self) -> int:
        return self._runner.capacity.slots

    def running(self) -> int:
        return self._scheduler.slots_used

    @property
    def vision(self) -> VisionEncoder:
        """The vision encoder, to measure it while the engine has no job."""
        return self._runner.vision

    def stop(self) -> None:
        self._grammars.stop()
        self._scheduler.clear()
        self._first_tokens.clear()

    # --- how requests begin ---------------------------------------------------------------------------------

    def _admit(self, job: EngineJob, constraint: TokenConstraint | None = None) -> None:
        try:
            self._scheduler.add(self._builder.build(job, constraint))
        except PipelineError as error:
            self._ended.append(FinishedJob(job.id, error))

    def _admit_compiled(self, timeout: float) -> None:
        """Admit the jobs whose grammars are compiled; block at most `timeout` seconds while there are none."""
        if timeout and not self._grammars.has_work:
            time.sleep(timeout)
        for job, compiled in self._grammars.compiled(timeout):
            if isinstance(compiled, PipelineError):
                self._ended.append(FinishedJob(job.id, compiled))
            else:
                self._admit(job, compiled)

    # --- one step -----------------------------------------------------------------------------------------

    def _step_or_restart(self) -> None:
        if not self._step_fits():
            self._restart_smaller()  # not where the error is handled: its traceback holds on to the pages
        self._on_progress()

    def _step_fits(self) -> bool:
        try:
            with torch.inference_mode():
                self._step()
        except torch.OutOfMemoryError:
            if not self._scheduler.can_restart_smaller:
                raise  # one request may be the cause: a fresh process with fewer at a time will show which
            log.warning("out of memory with %s slots; restarting with fewer", self._runner.capacity.slots)
            return False
        return True

    def _step(self) -> None:
        self._launch_prefills()
        running = self._scheduler.running
        rows = 0 if self._scheduler.should_fill_first() else len(running)
        if rows:
            batch = SamplingBatch.of([request.sampling for request in running])
            constrained = ConstrainedRows.of([request.policy for request in running])
            self._batch.advance(running, self._runner.decode(rows, batch, constrained).tokens())
            self._end_finished()
        self._start_decoding(wait=not rows)

    def _launch_prefills(self) -> None:
        while group := self._scheduler.next_group():
            self._scheduler.allocate(group)
            first_tokens = self._runner.prefill(group)  # may find no memory: until then the requests still wait
            self._scheduler.start_prefill(group)
            self._first_tokens.append(first_tokens)

    def _start_decoding(self, *, wait: bool) -> None:
        """Add the prefilled groups that are ready to the batch; `wait` blocks until the first is."""
        while self._first_tokens and (wait or self._first_tokens[0].ready()):
            wait = False
            tokens, edges = self._first_tokens[0].tokens(), iter(self._first_tokens[0].edges())
            self._first_tokens.popleft()
            row = len(self._scheduler.running)
            for request, token in zip(self._scheduler.start_decode(), tokens, strict=True):
                self._batch.add(row, request, request.policy.accept(*token))
                if isinstance(request.policy, ScoredChoice):
                    request.policy.accept_scores([*islice(edges, len(request.policy.tree.edges))])
                row += 1
            self._end_finished()

    def _end_finished(self) -> None:
        for request in self._scheduler.finished():
            successor = self._successor(request)
            row = self._scheduler.finish(request, successor)
            self._batch.remove(row, last=len(self._scheduler.running))
            if successor is None:
                self._end([request])

    def _successor(self, request: Request) -> Request | None:
        """Return the job's next request; a job that can have none is dropped."""
        if request.dropped is not None or request.then is None:
            return None
        try:
            return request.then(request)
        except PipelineError as error:
            request.dropped = error
            return None

    # --- how requests end ---------------------------------------------------------------------------------

    def _end(self, requests: Sequence[Request]) -> None:
        self._ended += [FinishedJob(request.job.id, self._outcome(request)) for request in requests]

    def _outcome(self, request: Request) -> Completion | PipelineError:
        return request.dropped or self._completions.completion(request)

    def _restart_smaller(self) -> None:
        self._first_tokens.clear()
        with torch.inference_mode():
            self._runner.reduce_capacity()
        held = self._scheduler.restart_smaller(self._runner.capacity)
        self._batch = DecodeBatch(self._runner.inputs)
        for request in held:
            if request.dropped is None:
                self.submit(request.job)
            else:
                self._end([request])


def _compiler(checkpoint: Checkpoint, ends: frozenset[int]) -> ConstraintCompiler:
    return ConstraintCompiler(checkpoint.processor.tokenizer, ends, checkpoint.model.config.text_config.vocab_size)
