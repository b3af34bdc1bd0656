"""The lines by which a worker tells a person how far it is."""

import logging

import pytest

from sightstream.consumers.worker.progress_log import INTERVAL_S, CommittedCounts, ProgressLog


def test_a_line_comes_now_and_then_and_only_when_there_is_news(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = 0.0
    counts = CommittedCounts()
    progress = ProgressLog(counts, lambda: now)
    for seconds, results in [(1.0, 1), (INTERVAL_S, 5), (INTERVAL_S + 1, 9), (3 * INTERVAL_S, 9), (5 * INTERVAL_S, 9)]:
        now, counts.results = seconds, results
        progress.log_if_due(in_progress=2)
    counts.dead_letters = 1
    progress.log_end()
    assert caplog.messages == [
        "5 answered, 0 dead letters, 2 in progress",
        "9 answered, 0 dead letters, 2 in progress",
        "the worker has left its group: 9 answered, 1 dead letters",
    ]
