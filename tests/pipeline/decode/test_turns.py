"""The order of those that wait for a child: quick files go past slow ones, and slow ones have their share."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

import pytest

from sightstream.pipeline.decode.turns import Turns


class Line:
    """Files that ask for a child, each on a thread of its own; `started` lists them in the order of their turns."""

    def __init__(self, children: int) -> None:
        self.turns = Turns(range(children))
        self.started: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._ends: dict[str, threading.Event] = {}
        self._threads: list[threading.Thread] = []

    def ask(self, name: str, is_slow: bool = False) -> None:
        """Ask, and wait until it stands in the line or has its turn."""
        self._ends[name] = threading.Event()
        before = self._waiting() + self.started.qsize()
        thread = threading.Thread(target=self._run, args=(name, is_slow), daemon=True)
        thread.start()
        self._threads.append(thread)
        while self._waiting() + self.started.qsize() == before:
            pass

    def _waiting(self) -> int:
        return len(self.turns._quick) + len(self.turns._slow)

    def _run(self, name: str, is_slow: bool) -> None:
        with self.turns.turn(is_slow):
            self.started.put(name)
            self._ends[name].wait(60)

    def end(self, name: str) -> None:
        self._ends[name].set()

    def next(self) -> str:
        return self.started.get(timeout=60)

    def close(self) -> None:
        for end in self._ends.values():
            end.set()
        for thread in self._threads:
            thread.join(60)


@pytest.fixture
def line(request: pytest.FixtureRequest) -> Iterator[Line]:
    line = Line(request.param)
    yield line
    line.close()


def children(count: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("line", [count], indirect=True)


@children(3)
def test_slow_files_leave_one_child_free(line: Line) -> None:
    for name in ("slow 1", "slow 2", "slow 3"):
        line.ask(name, is_slow=True)
    assert {line.next(), line.next()} == {"slow 1", "slow 2"}
    line.ask("quick")
    assert line.next() == "quick"


@children(3)
def test_while_quick_files_wait_slow_ones_have_their_share_and_no_more(line: Line) -> None:
    for name in ("quick 1", "quick 2", "quick 3"):
        line.ask(name)
        line.next()
    for name in ("slow 1", "slow 2"):
        line.ask(name, is_slow=True)
    for name in ("quick 4", "quick 5"):
        line.ask(name)
    order = []
    for name in ("quick 1", "quick 2", "quick 3"):
        line.end(name)
        order.append(line.next())
    assert order == ["slow 1", "quick 4", "quick 5"]
    line.end("quick 4")
    assert line.next() == "slow 2", "no quick file waits"


@children(1)
def test_one_child_serves_quick_files_first_and_slow_ones_then(line: Line) -> None:
    line.ask("first", is_slow=True)
    line.next()
    line.ask("slow", is_slow=True)
    line.ask("quick")
    line.end("first")
    assert line.next() == "quick"
    line.end("quick")
    assert line.next() == "slow"


@children(2)
def test_a_turn_that_fails_gives_its_child_back(line: Line) -> None:
    for is_slow in (True, False) * 3:
        with pytest.raises(ValueError, match="failed"), line.turns.turn(is_slow):
            raise ValueError("failed")
    line.ask("slow", is_slow=True)
    line.ask("quick")
    assert {line.next(), line.next()} == {"slow", "quick"}
