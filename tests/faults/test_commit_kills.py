"""Workers killed at the named points of a commit, each with finished work beyond an unfinished offset."""

from __future__ import annotations

import pytest

from tests.faults.commit_harness import CommitHarness

pytestmark = pytest.mark.real

POINTS = ["before_produce", "after_produce", "after_offsets", "in_commit"]


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_within_a_commit_repeats_only_what_was_not_committed(commits: CommitHarness, point: str) -> None:
    """One slow image heads the partition and fifty are finished behind it: what is committed then stands in the
    metadata alone, beside an offset that does not move.
    """
    commits.publish_behind_slow_one(50)
    before = commits.start_and_wait_killed(f"kill@{point}", after=20)
    assert 10 <= len(before) < 50, f"void: {len(before)} were answered before the kill"
    commits.start()
    commits.wait_event("held", "hold: r000000", 2)
    commits.open_gate()
    commits.check()
    again = {name for name, count in commits.inferences().items() if count > 1}
    assert not again & before, f"I7: answered before the kill and inferred again: {sorted(again & before)}"
