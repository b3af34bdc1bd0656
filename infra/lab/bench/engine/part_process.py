"""The process that measures: parts in, their reports out. It may die; the runner then goes on with the next."""

from __future__ import annotations

import logging
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

from sightstream.infra.lab.bench.engine.figures import Measured, PartReport, Status
from sightstream.infra.lab.bench.engine.options import Allowance, BenchOptions
from sightstream.infra.lab.bench.engine.parts import Part
from sightstream.pipeline.orphan import exit_with_parent


@dataclass(frozen=True, slots=True)
class Facts:
    """Sizes, machine and model, as far as they are known."""

    sizes: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """Progress, for people."""

    text: str


@dataclass(frozen=True, slots=True)
class PartStarted:
    """The part's set-up is over."""

    part: str


@dataclass(frozen=True, slots=True)
class PartEnded:
    """`hopeless`: what the part needs can't be made, so parts with the same needs need not be tried."""

    report: PartReport
    hopeless: bool = False


def serve(connection: Connection, options: BenchOptions, parts: Sequence[Part], bench_at: str) -> None:
    """Runs the parts in order, up to the first that fails: after that a device may be in any state."""
    exit_with_parent()
    warnings.simplefilter("ignore")
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it misses optional packages aloud
    say: Callable[[str], None] = lambda text: connection.send(Message(text))  # noqa: E731
    try:
        bench = find(bench_at)(options, say)
        connection.send(Facts(*bench.surroundings()))
    except Exception as error:
        connection.send(PartEnded(_failed(parts[0], error, 0, 0), hopeless=True))
        return
    try:
        for part in parts:
            ended = _run(bench, part, options, connection)
            connection.send(ended)
            if ended.report.status == "failed":
                return
    finally:
        bench.close()


def _run(bench: Any, part: Part, options: BenchOptions, connection: Connection) -> PartEnded:
    begun = time.monotonic()
    try:
        for need in part.needs:
            getattr(bench, need)
    except Exception as error:
        return PartEnded(_failed(part, error, time.monotonic() - begun, 0), hopeless=True)
    started = time.monotonic()
    connection.send(Facts(model=bench.model()))
    connection.send(PartStarted(part.name))
    try:
        work = find(part.where)
        found: Measured = work(bench, Allowance(bench.clock() + options.budgets.of(part.name), bench.clock))
    except Exception as error:
        return PartEnded(_failed(part, error, started - begun, time.monotonic() - started))
    took = time.monotonic() - started
    status: Status = "cut short" if found.cut_short else "done"
    return PartEnded(PartReport(part.name, status, found.figures, found.detail, found.cut_short, started - begun, took))


def _failed(part: Part, error: Exception, set_up_s: float, seconds: float) -> PartReport:
    trace = traceback.format_exception(error)
    why = f"{type(error).__name__}: {error}"
    return PartReport(part.name, "failed", detail={"trace": trace}, why=why, set_up_s=set_up_s, seconds=seconds)


def find(where: str) -> Any:
    """What "module:name" names."""
    module, name = where.split(":")
    return getattr(import_module(module), name)
