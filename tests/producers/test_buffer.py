"""The bounded buffer: who waits, who is turned away."""

from __future__ import annotations

from threading import Thread

from sightstream.producers.buffer import Buffer


def test_records_and_bytes_are_both_bounds() -> None:
    buffer = Buffer(2, 100)
    assert buffer.enter(40, 0)
    assert not buffer.enter(61, 0)
    assert buffer.enter(60, 0)
    assert not buffer.enter(0, 0)
    buffer.leave(40)
    assert buffer.enter(40, 0)
    assert buffer.records == 2


def test_one_record_larger_than_all_the_room_passes_alone() -> None:
    buffer = Buffer(2, 10)
    assert buffer.enter(50, 0)
    assert not buffer.enter(1, 0)
    buffer.leave(50)
    assert buffer.enter(1, 0)


def test_who_waits_gets_the_room_that_becomes_free() -> None:
    buffer = Buffer(1, 100)
    buffer.enter(1, 0)
    entered: list[bool] = []
    waiter = Thread(target=lambda: entered.append(buffer.enter(1, 30)))
    waiter.start()
    buffer.leave(1)
    waiter.join(30)
    assert entered == [True]


def test_closing_turns_the_waiting_away() -> None:
    buffer = Buffer(1, 100)
    buffer.enter(1, 0)
    entered: list[bool] = []
    waiter = Thread(target=lambda: entered.append(buffer.enter(1, 30)))
    waiter.start()
    buffer.close()
    waiter.join(30)
    assert entered == [False]
    assert not buffer.wait_empty(0)
    buffer.leave(1)
    assert buffer.wait_empty(0)
