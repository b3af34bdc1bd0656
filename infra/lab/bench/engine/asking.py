"""A few requests at once, and how long each took."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.engine.feed import ImageDecoder
from sightstream.pipeline.engine.protocol import Engine
from sightstream.pipeline.types import Canvas, Completion, EngineJob, FinishedJob, Pixels
from sightstream.schemas.wire.options import AnalysisOptions

WAIT_S = 0.005
WAIT_LIMIT_S = 600.0


@dataclass(frozen=True, slots=True)
class Asked:
    """Moments by the asker's clock; `ends` are those of the answers, in order."""

    start: float
    ends: list[float]

    @property
    def latencies(self) -> list[float]:
        return [end - self.start for end in self.ends]


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks one question about files, which are decoded on `pool`. Blocks the thread that the engine works on."""

    engine: Engine
    decoder: ImageDecoder
    question: str
    clock: Callable[[], float]
    pool: Executor

    def ask(self, files: list[bytes], tokens: int, first: int) -> Asked:
        """From the files' bytes, which come all at once, to an answer of `tokens` tokens for each.

        Jobs are numbered from `first`. Raises CommandError when one is not answered.
        """
        asked = Asked(self.clock(), [])
        coming = {first + at: self.pool.submit(self.decoder.decode, data) for at, data in enumerate(files)}
        out: dict[int, Pixels | Canvas] = {}
        while coming or out:
            for number in [number for number, future in coming.items() if future.done()]:
                out[number] = coming.pop(number).result()
                self.engine.submit(self._job(number, out[number], tokens))
            for finished in self.engine.finished(WAIT_S):
                asked.ends.append(self.clock())
                self.decoder.release(out.pop(finished.id))
                _check(finished, tokens)
            if self.clock() - asked.start > WAIT_LIMIT_S:
                raise CommandError(f"no answer within {WAIT_LIMIT_S:.0f} s")
        return asked

    def _job(self, number: int, pixels: Pixels | Canvas, tokens: int) -> EngineJob:
        return EngineJob(number, pixels, self.question, AnalysisOptions(max_tokens=tokens), image_key=f"ask-{number}")


def _check(finished: FinishedJob, tokens: int) -> None:
    """An answer that is shorter or longer than was asked for would make every figure wrong."""
    outcome = finished.outcome
    if not isinstance(outcome, Completion):
        raise CommandError(f"the engine did not answer: {outcome}")
    if outcome.completion_tokens != tokens:
        raise CommandError(f"an answer has {outcome.completion_tokens} tokens and not the {tokens} that were asked for")
