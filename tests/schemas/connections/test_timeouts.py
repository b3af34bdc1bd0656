"""A call that never returns costs its time limit and no more."""

from __future__ import annotations

import threading
import time

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
