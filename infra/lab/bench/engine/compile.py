"""How long the schemas of the ready tasks take to compile, with a vocabulary as large as Llama's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sightstream.infra.lab.bench.engine.figures import Figure, Measured
from sightstream.infra.lab.bench.engine.large_vocabulary import VOCABULARY, large_tokenizer
from sightstream.infra.lab.bench.engine.options import Allowance
from sightstream.pipeline.constraints.compiler import ConstraintCompiler
from sightstream.producers.tasks.read import read_task, ready_tasks
from sightstream.schemas.wire.response_format import JsonSchemaFormat

if TYPE_CHECKING:
    from sightstream.infra.lab.bench.engine.bench import Bench

REPEATS = 100


def compile_tasks(bench: Bench, allowance: Allowance) -> Measured:
    """Compile every schema again and again, with nothing remembered."""
    begun = bench.clock()
    compiler = ConstraintCompiler(large_tokenizer(), frozenset({VOCABULARY - 1}), VOCABULARY)
    set_up_s = bench.clock() - begun
    seconds = sorted(_seconds(compiler, each) for _ in range(REPEATS) for each in _formats() if not allowance.over)
    how = f"schemas of the ready tasks, {len(seconds)} compiled, {VOCABULARY} tokens, up to the first constraint"
    return Measured(
        (
            Figure("compile_p99_s", seconds[len(seconds) * 99 // 100], "s", how),
            Figure("compile_median_s", seconds[len(seconds) // 2], "s", how),
            Figure("compiler_s", set_up_s, "s", "reading the vocabulary, once in an engine's life"),
        )
    )


def _formats() -> list[JsonSchemaFormat]:
    questions = [question for path in ready_tasks() for question in read_task(path).questions]
    return [each.response_format for each in questions if isinstance(each.response_format, JsonSchemaFormat)]


def _seconds(compiler: ConstraintCompiler, response_format: JsonSchemaFormat) -> float:
    compiler._compiled.clear()
    begun = time.perf_counter()
    compiler.start(response_format)
    return time.perf_counter() - begun
