"""Workers that sleep past their session in the middle of a commit, while another one does all their work."""

from __future__ import annotations

import pytest

from tests.faults.commit_harness import CommitHarness, stopped

pytestmark = pytest.mark.real


@pytest.mark.parametrize("point", ["membership", "before_produce"])
def test_a_worker_that_slept_within_a_commit_can_not_commit_any_more(commits: CommitHarness, point: str) -> None:
    """Asleep before it looks whether it is a member, or between that look and the offsets that it sends.

    Its transaction has not begun when it falls asleep, so no time limit of transactions keeps it from going on.
    """
    commits.publish_behind_slow_one(40)
    with stopped(commits.start(f"stop@{point}", after=20)):
        commits.record_fault(f"stop {point}")
        commits.open_gate()
        commits.start(name="two")
        commits.wait_until_at_rest()
    commits.wait_for_owners(2)  # it has joined again, so that late commit is behind it
    commits.check(inferences=False)  # the sleeper's engine stays awake and goes on: how far is a matter of luck
