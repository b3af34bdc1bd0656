"""How many fetches run at once, and how often one is tried again: on clocks that only the test moves."""

from __future__ import annotations

import threading
import time
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sightstream.pipeline.fetch.lane import Lane
from sightstream.pipeline.fetch.lanes import MAX_LANES, Lanes
from sightstream.pipeline.fetch.retries import Retries
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.fetch.time_limit import TimeLimit
from sightstream.pipeline.fetch.trouble import Transient, Trouble
from sightstream.pipeline.fetch.window import Window
from tests.pipeline.fetch.conftest import Hand

THROTTLED = Transient(Trouble.THROTTLED, "slow down")
BROKEN = Transient(Trouble.BROKEN, "reset")


def lane(start: int = 2, most: int = 8, down_after: int = 3) -> Lane:
    return Lane(Window(start, most, 0.5), down_after)


# --- the window -------------------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.01, 0.99), st.lists(st.integers(0, 40), max_size=200))
def test_the_limit_stays_within_its_bounds(start: int, most: int, factor: float, events: list[int]) -> None:
    window = Window(start, most, factor)
    for in_use in events:
        before = window.limit
        if in_use:
            window.succeeded(in_use)
            assert before <= window.limit <= before + 1
        else:
            window.overloaded()
            assert window.limit <= before
        assert 1 <= window.limit <= most


def test_a_limits_worth_of_successes_adds_one_and_only_where_it_was_needed() -> None:
    window = Window(4, 10, 0.5)
    for _ in range(100):
        window.succeeded(in_use=3)
    assert window.limit == 4
    for _ in range(5):
        window.succeeded(in_use=4)
    assert window.limit == 5
    for _ in range(1000):
        window.succeeded(in_use=10)
    assert window.limit == 10


@settings(max_examples=30)
@given(st.integers(1, 30), st.floats(0.3, 0.9))
def test_the_limit_settles_at_what_a_server_bears(bears: int, factor: float) -> None:
    window, seen = Window(16, 64, factor), []
    for _ in range(5000):
        window.succeeded(window.limit) if window.limit <= bears else window.overloaded()
        seen.append(window.limit)
    settled = seen[1000:]
    assert max(settled) <= bears + 1
    assert sum(settled) / len(settled) >= bears * 0.5


# --- places -----------------------------------------------------------------------------------------------------


def test_fetches_that_fail_together_count_once() -> None:
    here = lane(start=8, most=8, down_after=3)
    together = [here.enter(TimeLimit(1)) for _ in range(8)]
    for began in together:
        here.leave(began, THROTTLED)
    assert here.limit == 4
    assert not here.down
    for expected in (2, 1, 1):
        here.leave(here.enter(TimeLimit(1)), THROTTLED)
        assert here.limit == expected
    assert here.down


@pytest.mark.parametrize("trouble", list(Trouble))
def test_only_a_server_that_is_overloaded_is_asked_less(trouble: Trouble) -> None:
    here = lane(start=8, most=8)
    here.leave(here.enter(TimeLimit(1)), Transient(trouble, "x"))
    assert here.limit == (4 if trouble in (Trouble.THROTTLED, Trouble.SLOW) else 8)


@given(st.lists(st.sampled_from(["enter", "good", "throttled", "broken"]), max_size=100))
def test_never_more_at_once_than_the_limit_and_none_is_lost(steps: list[str]) -> None:
    clock, here = Hand(), lane()
    inside: list[int] = []
    for step in steps:
        if step == "enter" and len(inside) < here.limit:
            inside.append(here.enter(TimeLimit(1, clock)))
        elif step == "enter":
            with pytest.raises(Transient) as caught:
                here.enter(TimeLimit(1e-9, clock))
            assert caught.value.trouble is Trouble.BUSY
            assert not caught.value.again
        elif inside:
            here.leave(inside.pop(0), {"good": None, "throttled": THROTTLED, "broken": BROKEN}[step])
    for began in inside:
        here.leave(began, None)
    assert here.idle
    for _ in range(here.limit):
        here.enter(TimeLimit(1, clock))


def test_first_come_first_served() -> None:
    here = lane(start=1)
    first = here.enter(TimeLimit(60))
    served: list[int] = []

    def fetch(number: int) -> None:
        began = here.enter(TimeLimit(60))
        served.append(number)
        here.leave(began, BROKEN)

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(5)]
    for number, thread in enumerate(threads):
        thread.start()
        while len(here._waiting) <= number:
            time.sleep(0.001)
    here.leave(first, BROKEN)
    for thread in threads:
        thread.join(10)
    assert served == [0, 1, 2, 3, 4]
    assert here.idle


def test_places_among_threads_are_neither_lost_nor_doubled() -> None:
    here, lock, most, now = lane(start=3, most=3), threading.Lock(), [0], [0]

    def fetch() -> None:
        for _ in range(200):
            began = here.enter(TimeLimit(60))
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            with lock:
                now[0] -= 1
            here.leave(began, None)

    threads = [threading.Thread(target=fetch) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert here.idle
    assert most[0] <= 3


def test_a_lane_learns_from_how_the_block_ends() -> None:
    clock = Hand()
    given_settings = FetchSettings(start_concurrency=4, slow_down_factor=0.5, down_after_failures=2)
    lanes = Lanes("http", given_settings)
    errors = []
    for trouble in (Trouble.THROTTLED, Trouble.BROKEN, Trouble.THROTTLED):
        error = Transient(trouble, "x")
        with pytest.raises(Transient), lanes.place("shop.example", 8, TimeLimit(1, clock)):
            raise error
        errors.append(error.again)
    assert errors == [True, False, False]  # held to be down from the second on
    here = lanes._lanes["shop.example"]
    assert here.limit == 1
    with pytest.raises(ValueError, match="a no is an answer"), lanes.place("shop.example", 8, TimeLimit(1, clock)):
        raise ValueError("a no is an answer")
    assert not here.down


def test_lanes_are_forgotten_beyond_a_number_but_none_in_use() -> None:
    clock = Hand()
    lanes = Lanes("http", FetchSettings())
    with lanes.place("kept.example", 8, TimeLimit(1, clock)):
        for number in range(MAX_LANES + 10):
            with lanes.place(f"{number}.example", 8, TimeLimit(1, clock)):
                pass
        assert len(lanes._lanes) <= MAX_LANES + 1
        assert "kept.example" in lanes._lanes


# --- retries ----------------------------------------------------------------------------------------------------


@example([1.4449783219319743], 1, 0.0, 1.4449783219319743, 0)
@given(
    st.lists(st.one_of(st.none(), st.floats(0, 8)), max_size=12),
    st.integers(0, 5),
    st.floats(0, 3),
    st.floats(0.5, 20),
    st.integers(0, 2**32),
)
def test_retries_are_few_and_end_in_time(
    failures: list[float | None], most: int, backoff: float, total: float, seed: int
) -> None:
    clock, pauses = Hand(), []
    given_settings = FetchSettings(max_retries=most, backoff_s=backoff, max_backoff_s=2, max_retry_after_s=5)
    left = list(failures)

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.sleep(seconds)

    def attempt() -> str:
        if not left:
            return "image"
        raise Transient(Trouble.THROTTLED, "busy", left.pop(0))

    start, limit = clock(), TimeLimit(total, clock)
    try:
        assert Retries(given_settings, sleep, Random(seed)).call(attempt, limit) == "image"
        assert len(pauses) == len(failures)
    except Transient:
        assert len(pauses) < len(failures)
    assert len(pauses) <= most
    assert clock() - start < total
    for number, (pause, asked) in enumerate(zip(pauses, failures, strict=False)):
        assert (asked or 0) <= pause <= (asked or 0) + min(2, backoff * 2**number)
        assert (asked or 0) <= 5


@pytest.mark.parametrize("trouble", list(Trouble))
def test_what_only_people_can_mend_is_not_tried_again(trouble: Trouble) -> None:
    calls = []

    def attempt() -> None:
        calls.append(1)
        raise Transient(trouble, "x")

    with pytest.raises(Transient):
        Retries(FetchSettings(max_retries=2), lambda pause: None).call(attempt, TimeLimit(60))
    assert len(calls) == (1 if trouble in (Trouble.UNTRUSTED, Trouble.BUSY) else 3)
