"""Two live workers of one name, as two machines can have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.commit_harness import MAX_IN_FLIGHT, CommitHarness

pytestmark = pytest.mark.real


def test_twins_of_one_name_fence_each_other_and_nothing_is_answered_twice(
    commits: CommitHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for partition in (0, 1):
        commits.publish_behind_slow_one(25, partition)
    for machine in ("here", "there"):  # the name is reserved in the folder for temporary files
        folder = tmp_path / machine
        folder.mkdir()
        monkeypatch.setenv("TMPDIR", str(folder))
        commits.start(name="twin", engine_max_batch=1, engine_simulated_s=0.1)
    commits.wait(lambda: "fenced" in commits.logs().lower(), "a commit that is fenced")
    # The other twin may have answered some of them by now.
    commits.record_fault("fenced", at_most=MAX_IN_FLIGHT)
    commits.open_gate()
    commits.check()
