"""Commits whose end the worker does not hear of, or hears of as a refusal."""

from __future__ import annotations

import pytest

from tests.faults.checker import violations
from tests.faults.commit_harness import CommitHarness
from tests.faults.harness import wait_for

pytestmark = pytest.mark.real


def test_lost_replies_neither_lose_nor_repeat_an_answer(commits: CommitHarness) -> None:
    """Some of these transactions went through and some did not; only the broker knows which. The last is refused."""
    commits.publish_behind_slow_one(80)
    faults = ["lose_reply@after_offsets", "lose_reply@before_commit", "lose_reply@in_commit"]
    commits.start(*faults, "lose_coordinator@in_commit", "refuse@before_commit", after=10)
    commits.wait_event("refuse", "before_commit")
    commits.open_gate()
    commits.check()  # and nothing was inferred again, as no fault allows it


def test_a_refused_transaction_is_aborted_before_anything_else(commits: CommitHarness) -> None:
    """It would stay open until its time limit: every reader would wait for it, and so would the next owner."""
    commits.settings["worker_transaction_timeout_s"] = 45
    commits.publish_behind_slow_one(30)
    commits.start_and_wait_killed("refuse@before_commit", "kill@begin", after=10)
    broken = "I5: the refused transaction is still open"
    wait_for(lambda: not [v for v in violations(commits.history()) if v.invariant == "I5"], broken, 10)
    commits.open_gate()
    commits.start(name="two")
    commits.check()
