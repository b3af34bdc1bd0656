"""Runs a mutant's tests in a copy of the tree, and judges whether they noticed it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.mutants.catalogue import Mutant
from tests.mutants.workspace import StaleMutant, mutated

MUTANT_TIMEOUT_S = 120
KILLED, SURVIVED, STALE = "killed", "survived", "stale"


class TimedOut(Exception):
    """The tests did not end in time."""


@dataclass(frozen=True, slots=True)
class Report:
    """How a test ended: `failure` is None for one that passed, else its message."""

    failure: str | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of a mutant. `detail` says why it counts as a survivor, or how it died."""

    name: str
    outcome: str
    seconds: float
    detail: str


def judge(mutant: Mutant, reports: Mapping[str, Report]) -> tuple[str, str]:
    """Return the outcome and its reason: every named test must have failed, with the words that are expected of it."""
    found = []
    for killer in mutant.killers:
        report = reports.get(killer.test)
        if report is None:
            return SURVIVED, f"{killer.test} did not run"
        if report.failure is None:
            return SURVIVED, f"{killer.test} passed"
        line = next((line for line in report.failure.splitlines() if killer.words in line), None)
        if line is None:
            return SURVIVED, f"{killer.test} failed for another reason than {killer.words!r}"
        found.append(line.strip())
    return KILLED, "; ".join(found)


def run_mutant(tree: Path, mutant: Mutant, timeout_s: float = MUTANT_TIMEOUT_S) -> Judgement:
    """Break the tree, run the mutant's tests, and repair the tree."""
    started = time.monotonic()
    try:
        with mutated(tree, mutant):
            outcome, detail = judge(mutant, run_tests(tree, [killer.test for killer in mutant.killers], timeout_s))
    except StaleMutant as error:
        outcome, detail = STALE, str(error)
    except TimedOut as error:
        outcome, detail = SURVIVED, str(error)
    return Judgement(mutant.name, outcome, time.monotonic() - started, detail)


def run_tests(tree: Path, tests: Sequence[str], timeout_s: float) -> dict[str, Report]:
    """Run these tests of the tree in one pytest of its own and return how each ended. Raises TimedOut."""
    file = tree / "reports.xml"
    file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", f"--junitxml={file}", *tests]
    environment = os.environ | {"PYTHONPATH": str(tree)}
    with (tree / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            command, cwd=tree, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        raise TimedOut(f"its tests did not end within {timeout_s:g} s") from None
    finally:
        _end_session(process)
    return read_reports(file) if file.exists() else {}


def _end_session(process: subprocess.Popen[bytes]) -> None:
    """Kill what the tests have left running, their workers for instance."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def read_reports(file: Path) -> dict[str, Report]:
    """Return how each test ended, by its node id. An error outside the test itself counts as a failure of no words."""
    reports = {}
    for case in ElementTree.parse(file).getroot().iter("testcase"):  # noqa: S314 - pytest of this machine wrote it
        path = case.get("classname", "").replace(".", "/") + ".py"
        failure, error, skipped = case.find("failure"), case.find("error"), case.find("skipped")
        # The message alone: the traceback below it quotes assertions that were never reached.
        text = None if failure is None else failure.get("message", "")
        if error is not None or skipped is not None:
            text = ""
        reports[f"{path}::{case.get('name')}"] = Report(text)
    return reports
