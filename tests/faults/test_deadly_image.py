"""An image that kills the whole worker, which is started again each time; and kills that are nobody's fault."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from sightstream.schemas.wire.dead_letter import Reason
from tests.faults.deadly_engine import DEADLY
from tests.faults.harness import WorkerHarness, wait_for

pytestmark = [pytest.mark.real, pytest.mark.soak]


@pytest.fixture
def harness(harness: WorkerHarness, tmp_path: Path) -> WorkerHarness:
    (tmp_path / "state").mkdir()
    harness.program = ("tests.faults.deadly_worker",)
    harness.settings = {"worker_state_dir": tmp_path / "state", "worker_session_timeout_s": 2}
    return harness


def has_died(harness: WorkerHarness) -> bool:
    return harness.workers[-1].poll() is not None


def is_answered(harness: WorkerHarness) -> bool:
    return len(harness.outcomes().sources) == harness.published


def start(harness: WorkerHarness) -> subprocess.Popen[bytes]:
    return harness.start_worker(name=f"{harness.group}-only")


def test_it_is_a_dead_letter_after_the_worker_died_with_it_alone_and_its_neighbours_are_answered(
    harness: WorkerHarness,
) -> None:
    harness.publish(30)
    harness.publish(1, question=DEADLY)
    harness.publish(30)
    starts = 0
    while not is_answered(harness):
        starts += 1
        assert starts <= 10, harness.logs()[-4000:]
        start(harness)
        wait_for(lambda: has_died(harness) or is_answered(harness), "a death, or the end")
    found = harness.check_exactly_once()
    assert [failure.reason for failure in found.failures] == [Reason.WORKER_CRASH]
    assert len(found.results) == 60
    assert starts >= 6


def test_kills_from_outside_make_no_dead_letter(harness: WorkerHarness) -> None:
    harness.settings |= {"engine_simulated_s": 0.5}
    harness.publish(240)
    seen = 0
    for _ in range(6):
        worker = start(harness)
        harness.wait_outcomes(seen + 4)
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        seen = len(harness.outcomes().sources)
    assert seen < 240, "the kills came too late to prove anything"
    start(harness)
    found = harness.check_exactly_once()
    assert len(found.results) == 240
