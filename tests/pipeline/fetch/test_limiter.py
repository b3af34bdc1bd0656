"""How many fetches run at once: the limit, the limiter and how it learns, on clocks that only the test moves."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightstream.pipeline.fetch.errors import BusyError, FailureKind, TransientError
from sightstream.pipeline.fetch.limiter import MAX_LIMITERS, AimdLimit, ConcurrencyLimiter, Limiters
from sightstream.pipeline.fetch.settings import FetchSettings

THROTTLED = TransientError(FailureKind.THROTTLED, "slow down")
BROKEN = TransientError(FailureKind.BROKEN, "reset")


def new_limiter(start: int = 2, maximum: int = 8, breaker_failures: int = 3) -> ConcurrencyLimiter:
    return ConcurrencyLimiter("shop.example", "foreign", AimdLimit(start, maximum, 0.5), breaker_failures)


# --- the limit --------------------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.01, 0.99), st.lists(st.integers(0, 40), max_size=200))
def test_the_limit_stays_within_its_bounds(start: int, maximum: int, factor: float, events: list[int]) -> None:
    limit = AimdLimit(start, maximum, factor)
    for in_use in events:
        before = limit.value
        if in_use:
            limit.on_success(in_use)
            assert before <= limit.value <= before + 1
        else:
            limit.on_overload()
            assert limit.value <= before
        assert 1 <= limit.value <= maximum


def test_a_limits_worth_of_successes_adds_one_if_the_limit_was_needed() -> None:
    limit = AimdLimit(4, 10, 0.5)
    for _ in range(100):
        limit.on_success(in_use=3)
    assert limit.value == 4
    for _ in range(5):
        limit.on_success(in_use=4)
    assert limit.value == 5
    for _ in range(1000):
        limit.on_success(in_use=10)
    assert limit.value == 10


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.floats(0.3, 0.9))
def test_the_limit_converges_to_the_capacity_of_a_server(capacity: int, factor: float) -> None:
    limit, seen = AimdLimit(16, 64, factor), []
    for _ in range(5000):
        limit.on_success(limit.value) if limit.value <= capacity else limit.on_overload()
        seen.append(limit.value)
    converged = seen[1000:]
    assert max(converged) <= capacity + 1
    assert sum(converged) / len(converged) >= capacity * 0.5


# --- the limiter -----------------------------------------------------------------------------------------------


def acquire(limiter: ConcurrencyLimiter) -> int:
    epoch = limiter.try_acquire()
    assert epoch is not None
    return epoch


def test_fetches_that_fail_together_count_once() -> None:
    limiter = new_limiter(start=8, maximum=8, breaker_failures=3)
    together = [acquire(limiter) for _ in range(8)]
    for epoch in together:
        limiter.release(epoch, THROTTLED)
    assert limiter.limit == 4
    assert not limiter.is_down
    for expected in (2, 1, 1):
        limiter.release(acquire(limiter), THROTTLED)
        assert limiter.limit == expected
    assert limiter.is_down


OVERLOAD = (FailureKind.THROTTLED, FailureKind.SLOW, FailureKind.CRAWLING)


@pytest.mark.parametrize("kind", list(FailureKind))
def test_only_an_overload_lowers_the_limit(kind: FailureKind) -> None:
    limiter = new_limiter(start=8, maximum=8)
    limiter.release(acquire(limiter), TransientError(kind, "x"))
    assert limiter.limit == (4 if kind in OVERLOAD else 8)


@given(st.lists(st.sampled_from(["acquire", "good", "throttled", "broken"]), max_size=100))
def test_never_more_at_once_than_the_limit_and_none_is_lost(steps: list[str]) -> None:
    limiter = new_limiter()
    inside: list[int] = []
    for step in steps:
        if step == "acquire":
            assert limiter.has_capacity == (len(inside) < limiter.limit)
            epoch = limiter.try_acquire()
            assert (epoch is not None) == (len(inside) < limiter.limit)
            inside += [] if epoch is None else [epoch]
        elif inside:
            limiter.release(inside.pop(0), {"good": None, "throttled": THROTTLED, "broken": BROKEN}[step])
    for epoch in inside:
        limiter.release(epoch, None)
    assert limiter.is_idle
    for _ in range(limiter.limit):
        acquire(limiter)
    assert limiter.try_acquire() is None


def test_threads_neither_lose_nor_exceed_the_limit() -> None:
    limiter, lock, most, now = new_limiter(start=3, maximum=3), threading.Lock(), [0], [0]

    def fetch() -> None:
        for _ in range(200):
            while (epoch := limiter.try_acquire()) is None:
                time.sleep(0.0001)
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            with lock:
                now[0] -= 1
            limiter.release(epoch, None)

    threads = [threading.Thread(target=fetch) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert limiter.is_idle
    assert most[0] <= 3


def test_a_limiter_learns_from_how_the_block_ends() -> None:
    given_settings = FetchSettings(start_concurrency=4, slow_down_factor=0.5, breaker_failures=2)
    limiters = Limiters("http", given_settings)
    limiter = limiters.get("shop.example", 8)
    errors = []
    for kind in (FailureKind.THROTTLED, FailureKind.BROKEN, FailureKind.THROTTLED):
        error = TransientError(kind, "x")
        with pytest.raises(TransientError), limiters.limit(limiter):
            raise error
        errors.append(error.retryable)
    assert errors == [True, False, False]  # the breaker is open from the second on
    assert limiters.get("shop.example", 8) is limiter
    assert limiter.limit == 1
    with (
        pytest.raises(ValueError, match="a refusal is an answer"),
        limiters.limit(limiter),
    ):
        raise ValueError("a refusal is an answer")
    assert not limiter.is_down


def test_idle_limiters_are_evicted_beyond_a_number() -> None:
    limiters = Limiters("http", FetchSettings())
    with limiters.limit(limiters.get("kept.example", 8)):
        for number in range(MAX_LIMITERS + 10):
            with limiters.limit(limiters.get(f"{number}.example", 8)):
                pass
        assert len(limiters._limiters) <= MAX_LIMITERS + 1
        assert "kept.example" in limiters._limiters


def test_a_full_limiter_refuses_at_once_and_names_itself() -> None:
    limiters = Limiters("http", FetchSettings())
    limiter = limiters.get("shop.example", 1, "foreign")
    with limiters.limit(limiter), pytest.raises(BusyError) as caught, limiters.limit(limiter):
        raise AssertionError("not admitted")
    assert caught.value.server is limiter
    assert (limiter.limit, limiter.group, limiter.is_idle) == (1, "foreign", True)


def test_a_refusal_by_a_dependency_is_an_answer() -> None:
    limiters = Limiters("s3", FetchSettings(breaker_failures=1))
    limiter = limiters.get("s3", 8)
    with pytest.raises(TransientError), limiters.limit(limiter):
        raise TransientError(FailureKind.DENIED, "403")
    assert not limiter.is_down
