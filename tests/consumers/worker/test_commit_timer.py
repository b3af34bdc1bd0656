"""When a commit is due, by a clock that is handed in."""

from __future__ import annotations

from sightstream.consumers.worker.commit_timer import REST_FACTOR, CommitTimer


def due_times(timer: CommitTimer, start: float, end: float, more_expected: bool) -> list[float]:
    """Let 10 ms pass at a time, commit for 10 ms whenever that is due, and return when the commits started."""
    commits, ticks = [], round(start * 100)
    while (now := ticks / 100) < end:
        ticks += 1
        if timer.is_due(now, more_expected):
            commits.append(now)
            timer.record_commit(now, now + 0.01, full=False)
    return commits


def test_the_first_outcome_is_committed_at_once() -> None:
    assert CommitTimer(0.5).is_due(0.0, more_expected=True)


def test_while_more_is_expected_commits_are_an_interval_apart() -> None:
    assert due_times(CommitTimer(0.5), 0, 2, more_expected=True) == [0.0, 0.5, 1.0, 1.5]


def test_with_nothing_else_in_progress_an_outcome_waits_a_few_times_as_long_as_a_commit_lasts() -> None:
    timer = CommitTimer(0.5)
    timer.record_commit(10.0, 10.01, full=False)
    rested = 10.01 + REST_FACTOR * 0.01
    assert not timer.is_due(rested - 0.001, more_expected=False)
    assert timer.is_due(rested + 0.001, more_expected=False)
    assert not timer.is_due(rested + 0.001, more_expected=True)


def test_commits_never_use_more_than_a_fifth_of_an_idle_workers_time() -> None:
    assert len(due_times(CommitTimer(0.5), 0, 1, more_expected=False)) * 0.01 <= 0.2


def test_slow_commits_of_an_idle_worker_are_no_further_apart_than_those_under_load() -> None:
    timer = CommitTimer(0.5)
    timer.record_commit(10.0, 10.4, full=False)
    assert timer.is_due(10.5, more_expected=False)


def test_after_a_full_batch_the_next_follows_at_once() -> None:
    timer = CommitTimer(0.5)
    timer.record_commit(10.0, 10.01, full=True)
    assert timer.is_due(10.01, more_expected=True)
    assert timer.is_due(10.01, more_expected=False)


def test_after_a_failure_nothing_is_due_for_a_while() -> None:
    timer = CommitTimer(0.5)
    timer.wait_until(11.0)
    assert not timer.is_due(10.99, more_expected=False)
    assert timer.is_due(11.0, more_expected=True)
