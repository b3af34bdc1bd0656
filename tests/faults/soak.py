"""Runs the matrix of faults on a real cluster: each alone, then a random mix for the rest of the time.

    python -m tests.faults.soak --seed 1 --minutes 30

Prints one table and writes it as JSON. Ends with code 1 when an invariant is broken; the run's folder is kept then.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.faults.checker import VOID
from tests.faults.cluster import Cluster
from tests.faults.fault_run import FaultRun
from tests.faults.faults import KINDS
from tests.faults.schedule import alone, mixed
from tests.faults.table import Row, as_json, render, row_of

WORKERS = 3
REQUESTS_ALONE = 1500
AT_LEAST_LEFT = 600
MIX_REQUESTS = 100_000
ATTEMPTS = 3
FINISH_TIMEOUT_S = 1800.0


@dataclass(frozen=True, slots=True)
class Options:
    """What to run, and where the report goes."""

    seed: int
    minutes: float
    only: tuple[str, ...]
    mix_requests: int
    report: Path
    folder: Path


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    shutil.rmtree(options.folder, ignore_errors=True)
    rows: list[Row] = []
    with Cluster(options.folder / "cluster") as cluster:
        for row in _rows(cluster, options):
            rows.append(row)
            _say(render([row]).splitlines()[-1] + "".join(f"\n  {each}" for each in row.violations[:20]))
            _write(options, rows)
    _say(f"\nseed {options.seed}\n{render(rows)}")
    broken = any(row.violations for row in rows)
    if not broken:
        shutil.rmtree(options.folder, ignore_errors=True)
    return 1 if broken else 0


def _parse(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=30, help="for the mix, beside the faults alone")
    parser.add_argument("--only", nargs="*", default=[], help="faults by number, such as F1 F5a; mix for the mix")
    parser.add_argument("--mix-requests", type=int, default=MIX_REQUESTS)
    parser.add_argument("--report", type=Path, default=Path("build/soak.json"))
    parser.add_argument("--folder", type=Path, default=Path("build/soak"))
    given = parser.parse_args(arguments)
    return Options(given.seed, given.minutes, tuple(given.only), given.mix_requests, given.report, given.folder)


def _rows(cluster: Cluster, options: Options) -> Iterator[Row]:
    wanted = [fault for fault in alone(options.seed, list(KINDS)) if not options.only or fault in options.only]
    for fault in wanted:
        yield _alone(cluster, options, fault)
    if not options.only or "mix" in options.only:
        yield _mix(cluster, options)


def _alone(cluster: Cluster, options: Options, fault: str) -> Row:
    """Run one fault on fresh topics; a void run is repeated."""
    kind = KINDS[fault]
    for attempt in range(ATTEMPTS):
        folder = options.folder / f"{fault}-{attempt}"
        with _run(cluster, folder, Random(f"{options.seed} {fault} {attempt}"), "s3" in kind.needs) as run:
            run.publish(REQUESTS_ALONE)
            run.harness.wait_until_seen(50)
            kind.inject(run)
            row = _judge(run, f"{fault} {kind.name}", attempt)
        if not _is_void(row):
            break
    return row


def _mix(cluster: Cluster, options: Options) -> Row:
    """Inject faults in random order until the time is over or all has been published, then finish."""
    random = Random(f"{options.seed} mix")
    end = time.monotonic() + options.minutes * 60
    with _run(cluster, options.folder / "mix", random, uses_s3=True) as run:
        for step in mixed(options.seed, list(KINDS)):
            if time.monotonic() > end or run.harness.published >= options.mix_requests:
                break
            run.keep_busy(AT_LEAST_LEFT)
            time.sleep(step.quiet_s)
            run.keep_busy(AT_LEAST_LEFT)
            _say(f"  mix: {step.fault} at {run.harness.published:,} published, {run.lag:,} left")
            KINDS[step.fault].inject(run)
        run.publish(max(0, options.mix_requests - run.harness.published), products=2000)
        return _judge(run, "F12 a random mix", 0)


@contextmanager
def _run(cluster: Cluster, folder: Path, random: Random, uses_s3: bool) -> Iterator[FaultRun]:
    run = FaultRun(cluster, folder, random, uses_s3)
    try:
        run.start_store()
        for _ in range(WORKERS):
            run.start_worker()
        yield run
    finally:
        run.stop()


def _judge(run: FaultRun, name: str, void: int) -> Row:
    """Check the run. What the harness itself could not wait for is a violation, too."""
    broken: list[str] = []
    try:
        history = run.finish(quiet_s=5, timeout_s=FINISH_TIMEOUT_S)
    except AssertionError as error:
        broken.append(f"not finished: {str(error)[:2000]}")
        history = run.history()
    return row_of(name, history, [*broken, *run.broken(history)], void)


def _is_void(row: Row) -> bool:
    return bool(row.violations) and all(each.startswith(VOID) for each in row.violations)


def _write(options: Options, rows: Sequence[Row]) -> None:
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(as_json(options.seed, rows) + "\n")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[2])
    raise SystemExit(main())
