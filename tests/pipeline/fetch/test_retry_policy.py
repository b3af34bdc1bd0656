"""How often an attempt is repeated within a fetch, on a clock that only the test moves."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sightstream.pipeline.fetch.deadline import Deadline
from sightstream.pipeline.fetch.errors import BusyError, FailureKind, TransientError
from sightstream.pipeline.fetch.retry_policy import RetryPolicy
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.stages import NO_SERVER
from tests.pipeline.fetch.conftest import ManualClock


@example([1.4449783219319743], 1, 0.0, 1.4449783219319743, 0)
@given(
    st.lists(st.one_of(st.none(), st.floats(0, 8)), max_size=12),
    st.integers(0, 5),
    st.floats(0, 3),
    st.floats(0.5, 20),
    st.integers(0, 2**32),
)
def test_retries_are_few_and_end_in_time(
    failures: list[float | None], max_retries: int, backoff: float, total: float, seed: int
) -> None:
    clock, pauses = ManualClock(), []
    given_settings = FetchSettings(max_retries=max_retries, backoff_s=backoff, max_backoff_s=2, max_retry_after_s=5)
    left = list(failures)

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.sleep(seconds)

    def attempt() -> str:
        if not left:
            return "image"
        raise TransientError(FailureKind.THROTTLED, "busy", left.pop(0))

    start, deadline = clock(), Deadline(total, clock)
    try:
        assert RetryPolicy(given_settings, sleep, Random(seed)).call(attempt, deadline) == "image"
        assert len(pauses) == len(failures)
    except TransientError:
        assert len(pauses) < len(failures)
    assert len(pauses) <= max_retries
    assert clock() - start < total
    for number, (pause, asked) in enumerate(zip(pauses, failures, strict=False)):
        assert (asked or 0) <= pause <= (asked or 0) + min(2, backoff * 2**number)
        assert (asked or 0) <= 5


NOT_AGAIN = {FailureKind.CRAWLING, FailureKind.MISCONFIGURED, FailureKind.DENIED, FailureKind.BUSY}


@pytest.mark.parametrize("kind", list(FailureKind))
def test_a_failure_that_a_retry_cannot_help_is_not_retried(kind: FailureKind) -> None:
    calls = []

    def attempt() -> None:
        calls.append(1)
        raise TransientError(kind, "x")

    with pytest.raises(TransientError):
        RetryPolicy(FetchSettings(max_retries=2), lambda pause: None).call(attempt, Deadline(60))
    assert len(calls) == (1 if kind in NOT_AGAIN else 3)


@pytest.mark.parametrize(("failures", "expected"), [(0, BusyError), (1, TransientError)])
def test_a_full_limiter_is_no_attempt_unless_one_failed_before(failures: int, expected: type[TransientError]) -> None:
    """Else a server that throttles for ever would let its requests go round for ever."""
    left = [TransientError(FailureKind.THROTTLED, "busy")] * failures

    def attempt() -> None:
        raise left.pop() if left else BusyError(NO_SERVER)

    with pytest.raises(TransientError) as caught:
        RetryPolicy(FetchSettings(), lambda pause: None).call(attempt, Deadline(60))
    assert type(caught.value) is expected
