"""Answers are written on a thread of their own, in order, and at the end."""

from __future__ import annotations

import threading

from sightstream.pipeline.cache.cached_answer import CachedAnswer
from sightstream.pipeline.cache.write_behind import WriteBehind
from tests.pipeline.samples import answer, key, wait_until


class Sink:
    """Writes once its gate is open."""

    def __init__(self) -> None:
        self.written: list[tuple[str, CachedAnswer]] = []
        self.begun = threading.Event()
        self.gate = threading.Event()
        self.broken = False

    def __call__(self, name: str, one: CachedAnswer) -> None:
        self.begun.set()
        self.gate.wait(30)
        if self.broken:
            raise ValueError("a bug")
        self.written.append((name, one))


def test_answers_are_written_in_order_and_the_last_put_wins() -> None:
    sink = Sink()
    writer = WriteBehind(sink, 10)
    for number in range(3):
        writer.put(key(number), answer(str(number)))
    writer.put(key(2), answer("new"))
    assert writer.get(key(2)) == answer("new")
    sink.gate.set()
    wait_until(lambda: writer.get(key(2)) is None)
    assert sink.written == [(key(0), answer("0")), (key(1), answer("1")), (key(2), answer("new"))]
    writer.close()


def test_an_answer_put_during_its_own_write_is_written_again() -> None:
    sink = Sink()
    writer = WriteBehind(sink, 10)
    writer.put(key(), answer("old"))
    assert sink.begun.wait(20)
    writer.put(key(), answer("new"))
    sink.gate.set()
    wait_until(lambda: writer.get(key()) is None)
    assert sink.written == [(key(), answer("old")), (key(), answer("new"))]
    writer.close()


def test_a_write_that_fails_does_not_stop_the_others() -> None:
    sink = Sink()
    sink.broken = True
    writer = WriteBehind(sink, 10)
    sink.gate.set()
    writer.put(key(1), answer())
    wait_until(lambda: writer.get(key(1)) is None)
    sink.broken = False
    writer.put(key(2), answer())
    wait_until(lambda: sink.written)
    writer.close()


def test_close_writes_the_waiting_answers_and_accepts_no_more() -> None:
    sink = Sink()
    sink.gate.set()
    writer = WriteBehind(sink, 1000)
    for number in range(500):
        writer.put(key(number), answer())
    writer.close()
    assert len(sink.written) == 500
    writer.put(key(), answer())
    assert writer.get(key()) is None
    assert not writer._thread.is_alive()


def test_close_does_not_wait_for_ever() -> None:
    sink = Sink()
    writer = WriteBehind(sink, 10)
    writer.put(key(), answer())
    writer.close()
    sink.gate.set()
    writer._thread.join(20)
    assert not writer._thread.is_alive()
