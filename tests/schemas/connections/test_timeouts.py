from __future__ import annotations

import threading

import pytest

from sightstream.schemas.connections.timeouts import CallTimedOut, call_with_timeout


def test_answers_and_errors_come_through() -> None:
    assert call_with_timeout(int, "7", timeout_s=10) == 7
    assert call_with_timeout(lambda: None, timeout_s=10) is None
    with pytest.raises(ValueError, match="invalid literal"):
        call_with_timeout(int, "x", timeout_s=10)


def test_what_never_returns_is_left_behind() -> None:
    gate = threading.Event()
    with pytest.raises(CallTimedOut):
        call_with_timeout(gate.wait, timeout_s=0.05)
    gate.set()
