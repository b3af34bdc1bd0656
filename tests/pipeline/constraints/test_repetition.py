"""An answer that repeats itself ends, and one that only holds equal values does not."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from sightstream.pipeline.constraints.repetition import RepetitionGuard


def ends_at(tokens: list[int]) -> int | None:
    """Return behind how many tokens the guard ended the answer."""
    guard = RepetitionGuard()
    return next((count for count, token in enumerate(tokens, start=1) if guard.accept(token)), None)


@given(st.integers(1, 128), st.integers(0, 300), st.integers(0, 99))
def test_a_part_written_again_and_again_ends(period: int, before: int, seed: int) -> None:
    rng = random.Random(seed)
    start = [rng.randrange(1000) for _ in range(before)]
    part = [1000 + index for index in range(period)]
    end = ends_at(start + part * 300)
    needed = max(128, 6 * period)
    assert end is not None
    assert before + needed <= end < before + needed + 16


@given(st.integers(1, 128), st.integers(0, 99))
def test_fewer_tokens_or_fewer_repeats_do_not_end(period: int, seed: int) -> None:
    rng = random.Random(seed)
    part = [1000 + index for index in range(period)]
    repeated = (part * 300)[: max(128, 6 * period) - 1]
    around = [rng.randrange(1000) for _ in range(200)]
    assert ends_at(around + repeated + around) is None


def test_an_array_of_63_equal_numbers_stands() -> None:
    number, comma, opens, closes = 7, 8, 9, 10
    assert ends_at([opens, *[number, comma] * 63, closes, *range(100, 300)]) is None
    assert ends_at([opens, *[number, comma] * 200]) is not None


def test_a_gap_starts_the_count_again() -> None:
    assert ends_at(([1] * 100 + [2]) * 5) is None


@given(st.lists(st.integers(0, 3), max_size=600))
def test_the_rule_is_the_one_of_the_docs(tokens: list[int]) -> None:
    def repeats(count: int) -> bool:
        return any(
            length <= count and all(tokens[i] == tokens[i - period] for i in range(count - length + period, count))
            for period in range(1, 129)
            for length in [max(128, 6 * period)]
        )

    assert ends_at(tokens) == next((n for n in range(16, len(tokens) + 1, 16) if repeats(n)), None)
