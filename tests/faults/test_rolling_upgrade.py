"""Workers of an earlier version and of this one in one group, under load: an upgrade, and the way back.

The earlier version is the newest tag, or else the commit before the last one; UPGRADE_FROM names another revision.
"""

from __future__ import annotations

import os
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import Message

from sightstream.schemas.wire.codec import decode_result
from sightstream.schemas.wire.dead_letter import Reason
from tests.faults.harness import ROOT, WorkerHarness, wait_for
from tests.faults.test_worker import free_port
from tests.faults.topic_reader import read_committed_offsets

pytestmark = [pytest.mark.real, pytest.mark.soak]

WAVE = 150


def earlier_revision() -> str:
    if named := os.environ.get("UPGRADE_FROM"):
        return named
    tag = ["git", "describe", "--tags", "--abbrev=0"]
    found = subprocess.run(tag, cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "HEAD~1"


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A checkout of the earlier version. It runs on this checkout's environment."""
    return checkout(tmp_path / "earlier", earlier_revision())


def checkout(folder: Path, revision: str) -> Path:
    """Write the files of a revision into a new folder."""
    folder.mkdir()
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=True)
    subprocess.run(["tar", "x", "-C", folder], input=archive.stdout, check=True)
    return folder


class Rollout:
    """Two workers at a time, of either version, and a request that is stuck at the head of each partition."""

    def __init__(self, harness: WorkerHarness, earlier: Path) -> None:
        self.harness, self.earlier = harness, earlier
        harness.settings = {
            "engine_simulated_s": 0.2,
            "s3_endpoint_url": f"http://127.0.0.1:{free_port()}",
            "s3_access_key_id": "nobody",
            "s3_secret_access_key": "is there",
            "fetch_connect_timeout_s": 1,
            "fetch_total_timeout_s": 2,
            "worker_breaker_probe_s": 0.5,
        }
        self.running = [self.start(earlier), self.start(earlier)]

    def start(self, root: Path) -> subprocess.Popen[bytes]:
        self.harness.root = root
        return self.harness.start_worker()

    def replace_both(self, root: Path, stop: signal.Signals) -> None:
        """Start two of the other version beside them; end one by `stop`, one by SIGKILL, each in the middle of work."""
        for sent in (stop, signal.SIGKILL):
            seen = len(self.harness.outcomes().sources)
            self.publish_wave()
            joining = self.start(root)
            self.harness.wait_for_owners(3)
            self.harness.wait_outcomes(seen + 20)
            wait_for(self.has_finished_beyond, "work that is finished beyond an unfinished offset")
            assert len(self.harness.outcomes().sources) < self.harness.published
            leaving = self.running.pop(0)
            leaving.send_signal(sent)
            assert leaving.wait(60) in (0, -signal.SIGKILL), self.harness.logs()[-4000:]
            self.running.append(joining)
            self.harness.wait_for_owners(2)

    def publish_wave(self) -> None:
        """Publish requests behind some that no worker can answer before their deadline: the store is down."""
        stuck = {"uri": "s3://nowhere/image.png"}
        self.harness.publish(20, image=stuck, deadline=datetime.now(UTC) + timedelta(seconds=40))
        for product in range(20, 60):
            self.harness.publish(WAVE // 40, products=1, product_id=f"p{product}")

    def has_finished_beyond(self) -> bool:
        committed = read_committed_offsets(self.harness.kafka, self.harness.group, self.harness.topics.requests)
        return any(partition.finished for partition in committed.values())


def revision_before_version_2() -> str:
    """The last revision whose workers know version 1 of the wire only."""
    log = ["git", "log", "--diff-filter=A", "--format=%H", "--", "schemas/wire/result_v2.py"]
    added = subprocess.run(log, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    if not added:
        pytest.skip("the history does not reach back to version 1")
    return f"{added[-1]}~1"


def test_an_old_worker_refuses_what_it_does_not_know_and_the_new_one_answers_it(
    harness: WorkerHarness, tmp_path: Path
) -> None:
    """Why workers and readers are upgraded before publishers; requests of version 1 do not notice."""
    harness.root = checkout(tmp_path / "version-1", revision_before_version_2())
    old = harness.start_worker()
    harness.publish(20, each=of_either_version)
    first = harness.wait_outcomes(20)
    assert versions(first.results) == [1] * 10
    assert [failure.reason for failure in first.failures] == [Reason.UNSUPPORTED_VERSION] * 10
    harness.root = ROOT
    new = harness.start_worker()
    harness.wait_for_owners(2)
    old.send_signal(signal.SIGTERM)
    assert old.wait(60) == 0, harness.logs()[-4000:]
    harness.publish(20, each=of_either_version)
    outcomes = harness.check_exactly_once()
    assert sorted(versions(outcomes.results)) == [1] * 20 + [2] * 10
    assert len(outcomes.failures) == 10
    assert new.poll() is None


def of_either_version(number: int) -> dict[str, object]:
    return {} if number % 2 else {"response_format": {"type": "choice", "choices": ["yes", "no"]}}


def versions(results: list[Message]) -> list[int]:
    return [decode_result(message.value()).schema_version for message in results]


def test_an_upgrade_and_a_rollback_under_load_answer_everything_once(harness: WorkerHarness, earlier: Path) -> None:
    rollout = Rollout(harness, earlier)
    harness.wait_for_owners(2)
    rollout.replace_both(ROOT, signal.SIGTERM)
    rollout.replace_both(earlier, signal.SIGTERM)
    harness.check_exactly_once()
