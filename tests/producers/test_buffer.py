"""The bounded buffer: which callers wait, and which are refused."""

from __future__ import annotations

from threading import Thread

from sightstream.producers.buffer import Buffer


def test_records_and_bytes_are_both_bounds() -> None:
    buffer = Buffer(2, 100)
    assert buffer.acquire(40, 0)
    assert not buffer.acquire(61, 0)
    assert buffer.acquire(60, 0)
    assert not buffer.acquire(0, 0)
    buffer.release(40)
    assert buffer.acquire(40, 0)
    assert buffer.records == 2


def test_one_record_larger_than_the_buffer_passes_alone() -> None:
    buffer = Buffer(2, 10)
    assert buffer.acquire(50, 0)
    assert not buffer.acquire(1, 0)
    buffer.release(50)
    assert buffer.acquire(1, 0)


def test_a_waiting_caller_gets_what_becomes_free() -> None:
    buffer = Buffer(1, 100)
    buffer.acquire(1, 0)
    acquired: list[bool] = []
    waiter = Thread(target=lambda: acquired.append(buffer.acquire(1, 30)))
    waiter.start()
    buffer.release(1)
    waiter.join(30)
    assert acquired == [True]


def test_closing_refuses_the_waiting() -> None:
    buffer = Buffer(1, 100)
    buffer.acquire(1, 0)
    acquired: list[bool] = []
    waiter = Thread(target=lambda: acquired.append(buffer.acquire(1, 30)))
    waiter.start()
    buffer.close()
    waiter.join(30)
    assert acquired == [False]
    assert not buffer.wait_empty(0)
    buffer.release(1)
    assert buffer.wait_empty(0)
