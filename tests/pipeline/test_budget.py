"""The byte budget counts what owners hold and blocks while it is exhausted."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.pipeline.budget import ByteBudget
from sightstream.pipeline.errors import Cancelled


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 100))))
def test_used_bytes_are_the_sum_of_what_the_owners_hold(steps: list[tuple[int, int]]) -> None:
    budget, held = ByteBudget(120), dict[int, int]()
    for owner, count in steps:
        budget.reserve(owner, count)
        held[owner] = count
        assert budget.used_bytes == sum(held.values())
        assert budget.exhausted == (budget.used_bytes >= 120)


def waiting(budget: ByteBudget) -> tuple[threading.Thread, list[str]]:
    ended: list[str] = []

    def wait() -> None:
        try:
            budget.wait()
            ended.append("passed")
        except Cancelled:
            ended.append("cancelled")

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread, ended


@pytest.mark.parametrize(("change", "end"), [("reserve", "passed"), ("close", "cancelled")])
def test_a_wait_ends_when_bytes_are_released_or_the_budget_closes(change: str, end: str) -> None:
    budget = ByteBudget(10)
    budget.reserve(1, 6)
    budget.reserve(2, 6)
    thread, ended = waiting(budget)
    budget.reserve(1, 4)  # 10 bytes still reach the limit
    thread.join(0.05)
    assert not ended
    budget.reserve(1, 3) if change == "reserve" else budget.close()
    thread.join(10)
    assert ended == [end]
