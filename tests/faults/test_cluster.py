"""Three brokers, two workers, answers out of order: one run with the faults that the single-broker tests can't have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.faults.cluster import Cluster
from tests.faults.fault_run import FaultRun
from tests.faults.faults import kill_group_coordinator, kill_transaction_coordinator, kill_worker

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest.fixture
def run(cluster: Cluster, tmp_path: Path) -> Iterator[FaultRun]:
    run = FaultRun(cluster, tmp_path / "run", Random(1), uses_s3=True)
    yield run
    run.stop()


def test_coordinators_and_a_worker_die_and_every_invariant_holds(run: FaultRun) -> None:
    run.publish(1000)
    run.start_store()
    for _ in range(2):
        run.start_worker()
    run.harness.wait_until_seen(30)
    for inject in (kill_worker, kill_group_coordinator, kill_transaction_coordinator):
        run.keep_busy(400)
        inject(run)
    history = run.finish()
    assert run.broken(history) == []
