"""Rates of a window: what is in it, what is before it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sightstream.infra.lab.bench.engine.window import Ended, steady_rates


def every_second(count: int, tokens: int = 10) -> list[Ended]:
    return [Ended(float(at), tokens, steps=at * 3) for at in range(1, count + 1)]


def test_the_window_opens_with_the_last_warm_answer_and_closes_with_the_last_wanted() -> None:
    rates = steady_rates(every_second(10), warm=3, wanted=4)
    assert rates is not None
    assert (rates.start, rates.end, rates.answers, rates.tokens, rates.steps) == (3.0, 7.0, 4, 40, 12)
    assert (rates.answers_per_s, rates.tokens_per_s, rates.steps_per_s) == (1.0, 10.0, 3.0)


def test_a_run_that_was_cut_short_has_a_shorter_window() -> None:
    rates = steady_rates(every_second(5), warm=3, wanted=100)
    assert rates is not None
    assert (rates.end, rates.answers) == (5.0, 2)


def test_there_is_no_window_without_answers_after_the_warm_up() -> None:
    assert steady_rates([], 1, 5) is None
    assert steady_rates(every_second(2), 3, 5) is None
    assert steady_rates(every_second(3), 3, 5) is None
    assert steady_rates([Ended(1.0, 1)] * 9, 3, 5) is None


def test_batches_are_counted_whole() -> None:
    """Four answers at each full second: four a second, wherever warm-up and end fall within a batch."""
    ended = [Ended(float(second), 7) for second in range(1, 9) for _ in range(4)]
    for warm in range(1, 12):
        for wanted in range(1, 12):
            rates = steady_rates(ended, warm, wanted)
            assert rates is not None
            assert rates.answers_per_s == 4.0
            assert rates.tokens_per_s == 28.0


@given(st.lists(st.floats(0.01, 5), min_size=2, max_size=60), st.integers(1, 20), st.integers(1, 60))
def test_every_answer_is_before_in_or_after_the_window(gaps: list[float], warm: int, wanted: int) -> None:
    at, ended = 0.0, []
    for gap in gaps:
        at += gap
        ended.append(Ended(at, 1))
    rates = steady_rates(ended, warm, wanted)
    if len(gaps) <= warm:
        assert rates is None
    else:
        assert rates is not None
        assert rates.answers == min(wanted, len(gaps) - warm)
        assert rates.start == ended[warm - 1].at
        assert rates.seconds > 0
