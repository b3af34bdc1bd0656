"""When starting another engine process is pointless, and what resets the count."""

from __future__ import annotations

from sightstream.pipeline.engine.failure_counts import FailureCounts


def test_failed_starts_count_until_one_succeeds() -> None:
    counts = FailureCounts(9)
    for _ in range(2):
        assert counts.record_end(killed=False, ready=False) is None
    counts.record_start()
    for _ in range(2):
        assert counts.record_end(killed=False, ready=False) is None
    counts.record_error("no disk")
    assert counts.record_end(killed=False, ready=False) == "the engine did not start 3 times in a row: no disk"


def test_crashes_and_kills_count_apart_until_an_answer() -> None:
    counts = FailureCounts(2)
    for _ in range(5):
        assert counts.record_end(killed=False, ready=True) is None
        assert counts.record_end(killed=True, ready=True) is None
        counts.record_answer()
    assert counts.record_end(killed=True, ready=True) is None
    assert counts.record_end(killed=False, ready=True) is None
    assert "killed 2 times" in (counts.record_end(killed=True, ready=False) or "")


def test_a_kill_while_the_model_loads_is_no_failed_start() -> None:
    counts = FailureCounts(20)
    assert [counts.record_end(killed=True, ready=False) for _ in range(10)] == [None] * 10
