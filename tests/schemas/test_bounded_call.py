from __future__ import annotations

import threading

import pytest

from sightstream.schemas.bounded_call import NeverReturned, bounded_call


def test_answers_and_errors_come_through() -> None:
    assert bounded_call(int, "7", limit_s=10) == 7
    assert bounded_call(lambda: None, limit_s=10) is None
    with pytest.raises(ValueError, match="invalid literal"):
        bounded_call(int, "x", limit_s=10)


def test_what_never_returns_is_left_behind() -> None:
    gate = threading.Event()
    with pytest.raises(NeverReturned):
        bounded_call(gate.wait, limit_s=0.05)
    gate.set()
