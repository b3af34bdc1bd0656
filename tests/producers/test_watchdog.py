"""A call that never returns costs its bound and no more."""

from __future__ import annotations

import time
from threading import Event

import pytest

from sightstream.producers.errors import Unsettled
from sightstream.producers.watchdog import within


def test_an_answer_and_an_error_come_through() -> None:
    assert within(30, divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        within(30, divmod, 1, 0)


def test_a_call_that_hangs_is_left_behind() -> None:
    never = Event()
    start = time.monotonic()
    with pytest.raises(Unsettled, match="did not answer"):
        within(0.05, never.wait)
    assert time.monotonic() - start < 10
    never.set()
