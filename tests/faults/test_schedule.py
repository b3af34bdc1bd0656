"""A seed says everything about a schedule."""

from __future__ import annotations

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from tests.faults.schedule import QUIET_S, alone, mixed

FAULTS = ["F1", "F2", "F3", "F4", "F5a", "F6"]


@given(st.integers(0, 2**32))
def test_a_seed_gives_the_same_schedule_again(seed: int) -> None:
    assert alone(seed, FAULTS) == alone(seed, FAULTS)
    assert list(islice(mixed(seed, FAULTS), 40)) == list(islice(mixed(seed, FAULTS), 40))


@given(st.integers(0, 2**32))
def test_every_fault_comes_in_each_round_and_after_a_quiet_gap(seed: int) -> None:
    assert sorted(alone(seed, FAULTS)) == sorted(FAULTS)
    steps = list(islice(mixed(seed, FAULTS), 2 * len(FAULTS)))
    for round_ in (steps[: len(FAULTS)], steps[len(FAULTS) :]):
        assert sorted(step.fault for step in round_) == sorted(FAULTS)
    assert all(QUIET_S[0] <= step.quiet_s <= QUIET_S[1] for step in steps)


def test_another_seed_gives_another_schedule() -> None:
    orders = {tuple(alone(seed, FAULTS)) for seed in range(20)}
    assert len(orders) > 10
