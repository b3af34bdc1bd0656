"""Runs parts in processes of their own: one that crashes or hangs fails alone, and earlier results are kept."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from sightstream.infra.lab.bench.engine.derived import derive
from sightstream.infra.lab.bench.engine.figures import PartReport, Report
from sightstream.infra.lab.bench.engine.options import BenchOptions
from sightstream.infra.lab.bench.engine.part_process import Facts, Message, PartEnded, PartStarted, serve
from sightstream.infra.lab.bench.engine.parts import Part

BENCH = "sightstream.infra.lab.bench.engine.bench:Bench"
SET_UP_LIMIT_S = 600.0
GRACE_S = 60.0
EXIT_TIMEOUT_S = 20.0

_spawn = multiprocessing.get_context("spawn")


class Runner:
    """`save` is called with the report whenever a part has ended; `say` with progress, for people."""

    def __init__(
        self,
        options: BenchOptions,
        report: Report,
        save: Callable[[Report], None],
        say: Callable[[str], None],
        bench_at: str = BENCH,
        grace_s: float = GRACE_S,
    ) -> None:
        self._options, self._report, self._save, self._say = options, report, save, say
        self._bench_at, self._grace_s = bench_at, grace_s

    def run(self, parts: Sequence[Part]) -> None:
        """Blocks until all have ended, one way or another."""
        for _, together in groupby(parts, key=lambda part: part.group):
            left = list(together)
            while left:
                left = self._one_process(left)

    def _one_process(self, parts: list[Part]) -> list[Part]:
        """What is still to be tried when the process has ended."""
        connection, theirs = _spawn.Pipe()
        process = _spawn.Process(
            target=serve, args=(theirs, self._options, parts, self._bench_at), name="sightstream-bench"
        )
        process.start()
        theirs.close()
        try:
            return self._listen(connection, process, parts)
        finally:
            connection.close()
            process.join(EXIT_TIMEOUT_S)
            process.kill()  # its own children end with it
            process.join()

    def _listen(self, connection: Connection, process: SpawnProcess, left: list[Part]) -> list[Part]:
        limit = SET_UP_LIMIT_S
        until = time.monotonic() + limit
        while left:
            if not connection.poll(max(0.0, until - time.monotonic())):
                process.kill()
                return self._fail(left, f"no end within {limit:.0f} s; its process was ended")
            try:
                message = connection.recv()
            except (EOFError, OSError):
                process.join(EXIT_TIMEOUT_S)
                return self._fail(left, f"its process ended with code {process.exitcode}")
            if isinstance(message, PartEnded):
                left = self._ended(message, left)
                limit = SET_UP_LIMIT_S
                if message.report.status == "failed":
                    return left
            elif isinstance(message, PartStarted):
                limit = self._options.budgets.of(message.part) + self._grace_s
            else:
                self._record(message)
                continue
            until = time.monotonic() + limit
        return left

    def _record(self, message: Message | Facts) -> None:
        if isinstance(message, Message):
            self._say(message.text)
            return
        self._report.machine |= message.machine
        self._report.command["sizes"] |= message.sizes
        self._report.model |= message.model

    def _ended(self, ended: PartEnded, left: list[Part]) -> list[Part]:
        self._keep(ended.report)
        rest = left[1:]
        if ended.hopeless:
            for part in [part for part in rest if part.needs == left[0].needs]:
                self._keep(PartReport(part.name, "not run", why=f"as {left[0].name}: {ended.report.why}"))
                rest.remove(part)
        return rest

    def _fail(self, left: list[Part], why: str) -> list[Part]:
        self._keep(PartReport(left[0].name, "failed", why=why))
        return left[1:]

    def _keep(self, report: PartReport) -> None:
        self._report.parts[report.part] = report
        self._report.derived = derive(self._report)
        why = f": {report.why}" if report.why else ""
        self._say(f"{report.part}: {report.status} after {report.set_up_s:.0f} + {report.seconds:.0f} s{why}")
        self._save(self._report)
