"""Compiles the grammars of JSON jobs beside the engine's steps."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import cached_property

from sightstream.pipeline.constraints.compiler import ConstraintCompiler
from sightstream.pipeline.constraints.token_constraint import TokenConstraint
from sightstream.pipeline.errors import PipelineError
from sightstream.pipeline.types import EngineJob
from sightstream.schemas.wire.response_format import ResponseFormat


class GrammarQueue:
    """Compiles on one thread, in order of arrival. `new_compiler` is called there, when the first job comes."""

    def __init__(self, new_compiler: Callable[[], ConstraintCompiler]) -> None:
        self._new_compiler = new_compiler
        self._thread = ThreadPoolExecutor(1, "grammars")  # it starts with the first job
        self._jobs: dict[int, tuple[EngineJob, Future[TokenConstraint]]] = {}

    @property
    def has_work(self) -> bool:
        return bool(self._jobs)

    def add(self, job: EngineJob) -> None:
        self._jobs[job.id] = job, self._thread.submit(self._compile, job.response_format)

    def cancel(self, job_id: int) -> bool:
        """Forget a job; return whether it was here."""
        return self._jobs.pop(job_id, None) is not None

    def compiled(self, timeout: float) -> list[tuple[EngineJob, TokenConstraint | PipelineError]]:
        """Return and forget the jobs that are done; block at most `timeout` seconds while there are none."""
        if not self._jobs:
            return []
        if timeout:
            wait([future for _, future in self._jobs.values()], timeout, FIRST_COMPLETED)
        done = [(job, future) for job, future in self._jobs.values() if future.done()]
        for job, _ in done:
            del self._jobs[job.id]
        return [(job, _result(future)) for job, future in done]

    def pieces(self, tokens: list[int]) -> list[bytes]:
        """Return the bytes of each token of an answer that was constrained here."""
        return self._compiler.pieces(tokens)

    def stop(self) -> None:
        """Forget everything."""
        self._jobs.clear()
        self._thread.shutdown(wait=False, cancel_futures=True)

    @cached_property
    def _compiler(self) -> ConstraintCompiler:
        return self._new_compiler()

    def _compile(self, response_format: ResponseFormat) -> TokenConstraint:
        return self._compiler.start(response_format)


def _result(future: Future[TokenConstraint]) -> TokenConstraint | PipelineError:
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, PipelineError):
        return error
    raise error
