"""Runs the matrix of faults on a real cluster: each alone, then a random mix for the rest of the time.

    python -m tests.faults.soak --seed 1 --minutes 30

Prints one table and writes it as JSON. Ends with code 1 when an invariant is broken; the run's folder is kept then.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import get_args

from confluent_kafka import KafkaException

from sightstream.consumers.kafka.types import KafkaReadError
from sightstream.infra.runtime.errors import RuntimeFailedError
from tests.faults import network, wall_clock
from tests.faults.checker import VOID
from tests.faults.cluster import Cluster
from tests.faults.fault_run import EngineName, FaultRun, Surroundings
from tests.faults.faults import KINDS
from tests.faults.network import BROKERS
from tests.faults.schedule import alone, mixed
from tests.faults.small_disk import small_disk
from tests.faults.table import Row, as_json, render, row_of
from tests.faults.wall_clock import WallClock

WORKERS = 3
DISK_NODE = 3
REQUESTS_ALONE = 1500
MIX_REQUESTS = 100_000
ATTEMPTS = 3
FINISH_TIMEOUT_S = 1800.0


@dataclass(frozen=True, slots=True)
class Options:
    """What to run, and where the report goes."""

    seed: int
    minutes: float
    only: tuple[str, ...]
    requests: int
    mix_requests: int
    engine: EngineName
    report: Path
    folder: Path


@dataclass(frozen=True, slots=True)
class Soak:
    """The machine that all runs use."""

    options: Options
    cluster: Cluster
    surroundings: Surroundings

    def allows(self, fault: str) -> bool:
        return KINDS[fault].needs - {"s3"} <= self.surroundings.parts | {self.options.engine}


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))  # so that every process of it ends, too
    shutil.rmtree(options.folder, ignore_errors=True)
    rows: list[Row] = []
    with ExitStack() as stack:
        surroundings = _surroundings(stack, options.folder)
        hosts = BROKERS if surroundings.network else None
        cluster = stack.enter_context(Cluster(options.folder / "cluster", hosts))
        for row in _rows(Soak(options, cluster, surroundings)):
            rows.append(row)
            _say(render([row]).splitlines()[-1] + "".join(f"\n  {each}" for each in row.violations[:20]))
            _write(options, rows)
    _say(f"\nseed {options.seed}\n{render(rows)}")
    broken = any(row.violations for row in rows)
    if not broken:
        shutil.rmtree(options.folder, ignore_errors=True)
    return 1 if broken else 0


def _surroundings(stack: ExitStack, folder: Path) -> Surroundings:
    is_root = network.is_possible()
    return Surroundings(
        network=stack.enter_context(network.network()) if is_root else None,
        disk=stack.enter_context(small_disk(folder / "cluster" / f"node-{DISK_NODE}" / "kafka")) if is_root else None,
        disk_node=DISK_NODE,
        store_disk=stack.enter_context(small_disk(folder / "store")) if is_root else None,
        clock=WallClock.create(folder / "clock") if wall_clock.is_possible() else None,
    )


def _parse(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=30, help="for the mix, beside the faults alone")
    parser.add_argument("--only", nargs="*", default=[], help="faults by number, such as F1 F5a; mix for the mix")
    parser.add_argument("--requests", type=int, default=REQUESTS_ALONE, help="for each fault alone")
    parser.add_argument("--mix-requests", type=int, default=MIX_REQUESTS)
    parser.add_argument("--engine", choices=get_args(EngineName), default="simulated")
    parser.add_argument("--report", type=Path, default=Path("build/soak.json"))
    parser.add_argument("--folder", type=Path, default=Path("build/soak"))
    given = parser.parse_args(arguments)
    return Options(**vars(given) | {"only": tuple(given.only), "folder": given.folder.resolve()})


def _rows(soak: Soak) -> Iterator[Row]:
    options = soak.options
    for fault in alone(options.seed, [fault for fault in KINDS if not options.only or fault in options.only]):
        if soak.allows(fault):
            yield _alone(soak, fault)
        else:
            _say(f"  {fault} {KINDS[fault].name}: NOT RUN, this machine does not allow it")
    if not options.only or "mix" in options.only:
        yield _mix(soak)


def _alone(soak: Soak, fault: str) -> Row:
    """Run one fault on fresh topics; a void run is repeated."""
    kind, seed = KINDS[fault], soak.options.seed
    for attempt in range(ATTEMPTS):
        with _run(soak, f"{fault}-{attempt}", Random(f"{seed} {fault} {attempt}"), "s3" in kind.needs) as run:
            run.publish(soak.options.requests)
            broken = _inject(run, fault)
            row = _judge(run, f"{fault} {kind.name}", attempt, broken)
        if not _is_void(row):
            break
    return row


def _mix(soak: Soak) -> Row:
    """Inject faults in random order until the time is over, then finish.

    The requests are published evenly over that time, so that every fault meets its part of them. A worker behind the
    cut cable can't reach the object store, so a mix has the one or the other, by its seed.
    """
    options, uses_s3 = soak.options, soak.options.seed % 2 == 1
    unwanted = "network" if uses_s3 else "s3"
    faults = [fault for fault in KINDS if soak.allows(fault) and unwanted not in KINDS[fault].needs]
    start = time.monotonic()
    broken: list[str] = []
    with _run(soak, "mix", Random(f"{options.seed} mix"), uses_s3) as run:
        run.publish(options.requests)
        for step in mixed(options.seed, faults):
            passed = (time.monotonic() - start) / (options.minutes * 60)
            if broken or passed > 1:
                break
            _publish_until(run, int(passed * options.mix_requests))
            time.sleep(step.quiet_s)
            _say(f"  mix: {step.fault} at {run.harness.published:,} published, {run.lag:,} left")
            broken += _inject(run, step.fault)
        _publish_until(run, options.mix_requests)
        return _judge(run, "F12 a random mix", 0, broken)


def _publish_until(run: FaultRun, count: int) -> None:
    """Publish more until there are `count` in all; of so many products that few requests wait for one another."""
    run.publish(max(0, count - run.harness.published), products=2000)


@contextmanager
def _run(soak: Soak, name: str, random: Random, uses_s3: bool) -> Iterator[FaultRun]:
    options = soak.options
    run = FaultRun(soak.cluster, options.folder / name, random, uses_s3, soak.surroundings, options.engine)
    try:
        run.start_store()
        for _ in range(WORKERS):
            run.start_worker()
        yield run
    finally:
        run.stop()


def _inject(run: FaultRun, fault: str) -> list[str]:
    """Inject the fault; return what the harness waited for without seeing it."""
    try:
        run.harness.wait_until_seen(50)
        KINDS[fault].inject(run)
    except (AssertionError, RuntimeFailedError, KafkaException, KafkaReadError) as error:
        return [f"{fault}: {error!r:.2000}"]
    return []


def _judge(run: FaultRun, name: str, void: int, broken: list[str]) -> Row:
    """Check the run. What the harness itself could not wait for is a violation, too."""
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
