"""Writes random answers to random schemas, and counts those that the check refuses; measures compiling as well."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sightstream.infra.lab.bench.constraints.random_answers import RandomAnswer, RandomWriter
from sightstream.infra.lab.bench.constraints.random_schemas import RandomSchemas, long_enum
from sightstream.pipeline.constraints.compiler import ConstraintCompiler
from sightstream.pipeline.constraints.format_check import check_format
from sightstream.pipeline.constraints.value import parse_value
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.response_format import JsonSchema, JsonSchemaFormat, ResponseFormat

AT_ONCE = 20
MAX_TOKENS = 512
MANY_VALUES = 1000


@dataclass(slots=True)
class WalkReport:
    """What came of the answers. `refused_answers` are those that ended by themselves and do not pass the check."""

    answers: int = 0
    cut: int = 0
    tokens: int = 0
    seconds: float = 0.0
    compile_ms: list[float] = field(default_factory=list)
    refused_answers: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the figures, compiling as its median and its 99th percentile."""
        times = sorted(self.compile_ms)
        return {
            "answers": self.answers,
            "refused_answers": len(self.refused_answers),
            "examples": self.refused_answers[:10],
            "cut_share": round(self.cut / max(1, self.answers), 4),
            "tokens": self.tokens,
            "us_per_token": round(self.seconds / max(1, self.tokens) * 1e6, 1),
            "compile_ms_p50": round(times[len(times) // 2], 2),
            "compile_ms_p99": round(times[len(times) * 99 // 100], 2),
        }


def load_compiler(folder: Path) -> ConstraintCompiler:
    """Return a compiler for the tokenizer of a checkpoint's folder. Blocks for a second or two."""
    from transformers import AutoTokenizer, GenerationConfig

    ends = GenerationConfig.from_pretrained(folder).eos_token_id
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return ConstraintCompiler(tokenizer, frozenset([ends] if isinstance(ends, int) else ends))


def walk(compiler: ConstraintCompiler, *, schemas: int, answers: int, seed: int) -> WalkReport:
    """Write `answers` random answers to each of so many schemas, of at most 512 tokens. The same seed repeats them."""
    report = WalkReport()
    writer = RandomWriter(compiler, seed)
    formats = list(usable_formats(schemas, seed))
    for start in range(0, schemas, AT_ONCE):
        some = formats[start : start + AT_ONCE]
        report.compile_ms += [_compile_ms(compiler, each) for each in some]
        began = time.perf_counter()
        written = writer.write(some * answers, MAX_TOKENS)
        report.seconds += time.perf_counter() - began
        _count(report, written)
    return report


def usable_formats(count: int, seed: int) -> Iterator[JsonSchemaFormat]:
    """Yield so many formats that pass the check; the first has a list of a thousand values."""
    schemas = RandomSchemas(seed)
    yield _format(long_enum(MANY_VALUES))
    left = count - 1
    while left > 0:
        each = _format(schemas.next())
        try:
            check_format(each)
        except Rejected:
            continue  # a number between 1 and 3 that is a multiple of 12, for instance
        yield each
        left -= 1


def _format(schema: dict[str, Any]) -> JsonSchemaFormat:
    return JsonSchemaFormat(json_schema=JsonSchema(name="answer", schema_=schema))


def _compile_ms(compiler: ConstraintCompiler, response_format: ResponseFormat) -> float:
    began = time.perf_counter()
    compiler.start(response_format)
    return (time.perf_counter() - began) * 1000


def _count(report: WalkReport, written: Sequence[RandomAnswer]) -> None:
    for answer in written:
        report.answers += 1
        report.cut += answer.is_cut
        report.tokens += answer.tokens
        if not answer.is_cut and (problem := _problem(answer)):
            report.refused_answers.append(f"{problem} {answer.data[:300]!r}")


def _problem(answer: RandomAnswer) -> str | None:
    try:
        text = answer.data.decode()
    except UnicodeDecodeError:
        return "The answer is not UTF-8."
    return parse_value(answer.response_format, text).problem
