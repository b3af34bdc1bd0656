"""A call that never returns costs its time limit and no more."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future

import pytest

from sightstream.schemas.connections.timeouts import CallTimedOut, call_with_timeout


def test_answers_and_errors_come_through() -> None:
    assert call_with_timeout(int, "7", timeout_s=10) == 7
    assert call_with_timeout(lambda: None, timeout_s=10) is None
    assert call_with_timeout(divmod, 7, 2, timeout_s=30) == (3, 1)
    with pytest.raises(ValueError, match="invalid literal"):
        call_with_timeout(int, "x", timeout_s=10)
    with pytest.raises(ZeroDivisionError):
        call_with_timeout(divmod, 1, 0, timeout_s=30)


def test_a_call_that_hangs_is_abandoned() -> None:
    gate = threading.Event()
    start = time.monotonic()
    with pytest.raises(CallTimedOut, match="did not answer"):
        call_with_timeout(gate.wait, timeout_s=0.05)
    assert time.monotonic() - start < 10
    gate.set()


def test_an_answer_that_comes_just_at_the_limit_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Future[int].result

    def late(outcome: Future[int], timeout: float | None = None) -> int:
        answer = real(outcome, 30)
        if timeout is not None:
            raise TimeoutError
        return answer

    monkeypatch.setattr(Future, "result", late)
    assert call_with_timeout(int, "7", timeout_s=10) == 7


def test_the_calls_own_timeout_is_its_error() -> None:
    def call() -> None:
        raise TimeoutError("of the network")

    with pytest.raises(TimeoutError, match="of the network"):
        call_with_timeout(call, timeout_s=10)
