"""Which request starts next: none waits on a thread, one slow server leaves threads to the others, all get a turn."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from itertools import count as count_from

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.pipeline.in_flight import CLOCKS, InFlightRequest
from sightstream.pipeline.prepare_queue import SLOW_FETCH_S, PrepareQueue, Turn
from tests.pipeline.fetch.conftest import ManualClock
from tests.pipeline.samples import request


@dataclass
class FakeServer:
    name: str
    limit: int = 100
    shared_group: str = ""
    has_capacity: bool = True

    @property
    def group(self) -> str:
        return self.shared_group or self.name


class Harness:
    """A queue and as many threads as a test starts turns; four for one server at most."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.queue = PrepareQueue(4, self.clock)
        self.numbers = 0

    def put(self, server: FakeServer, count: int = 1) -> list[InFlightRequest]:
        added = [InFlightRequest(count_from(self.numbers + n), n, request(), CLOCKS, server) for n in range(count)]
        self.numbers += count
        for one in added:
            self.queue.put(one)
        return added

    def start(self) -> Turn | None:
        """Return the next turn, or None where a thread would wait."""
        return self.queue.get() if self.queue._next() else None

    def start_all(self) -> list[Turn]:
        return list(iter(self.start, None))


@pytest.fixture
def harness() -> Harness:
    return Harness()


def names(turns: list[Turn]) -> list[str]:
    return [turn.request.server.name for turn in turns]


def test_one_server_leaves_a_reserve_and_others_start_at_once(harness: Harness) -> None:
    harness.put(FakeServer("slow"), 10)
    assert names(harness.start_all()) == ["slow"] * 4
    harness.put(FakeServer("fast"), 2)
    assert names(harness.start_all()) == ["fast"] * 2


def test_a_request_whose_server_is_at_its_limit_waits_without_a_thread(harness: Harness) -> None:
    server = FakeServer("polite", limit=2)
    first, second, third = harness.put(server, 3)
    turns = harness.start_all()
    assert [turn.request for turn in turns] == [first, second]
    turns[0].end_fetch()  # its thread decodes now, and the server can serve the next one
    (next_turn,) = harness.start_all()
    assert next_turn.request is third


def test_a_server_without_capacity_starts_nothing(harness: Harness) -> None:
    server = FakeServer("redirected to", has_capacity=False)
    harness.put(server)
    assert harness.start() is None
    server.has_capacity = True
    assert harness.start() is not None


def test_servers_come_in_turn(harness: Harness) -> None:
    for name in ("a", "b", "c"):
        harness.put(FakeServer(name), 3)
    assert names(harness.start_all()) == ["a", "b", "c"] * 3


def test_a_group_leaves_a_reserve_however_many_its_servers_are(harness: Harness) -> None:
    for number in range(20):
        harness.put(FakeServer(f"foreign-{number}", shared_group="foreign"))
    turns = harness.start_all()
    assert len(turns) == 4
    harness.put(FakeServer("ours"))
    assert names(harness.start_all()) == ["ours"]
    turns[0].end()
    assert len(harness.start_all()) == 1


def test_what_was_put_back_comes_first(harness: Harness) -> None:
    server = FakeServer("shop")
    first, *_ = harness.put(server, 3)
    turn = harness.start()
    assert turn is not None
    harness.queue.put_back(turn.request, server)
    turn.end()
    again = harness.start()
    assert again is not None
    assert again.request is first


def test_only_what_waits_for_a_slow_server_is_held_back(harness: Harness) -> None:
    harness.put(FakeServer("busy"), 10)
    busy = harness.start_all()
    harness.put(FakeServer("slow"), 10)
    slow = harness.start_all()
    assert harness.queue.held_back() == 0
    harness.clock.now += SLOW_FETCH_S
    for turn in busy:
        turn.end_fetch()  # their threads decode: it is this machine that is busy, and not their server
    assert (harness.queue.held_back(), harness.queue.held_back("slow"), harness.queue.held_back("busy")) == (6, 6, 0)
    for turn in slow:
        turn.end()
    assert harness.queue.held_back() == 0


def test_a_closed_queue_ends_every_get(harness: Harness) -> None:
    results: list[Turn | None] = []
    threads = [threading.Thread(target=lambda: results.append(harness.queue.get())) for _ in range(3)]
    for thread in threads:
        thread.start()
    harness.queue.close()
    for thread in threads:
        thread.join(20)
    assert results == [None] * 3
    harness.put(FakeServer("late"))
    assert harness.queue.get() is None


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "start", "fetched", "end", "back"]), st.integers(0, 30)), max_size=120
)


@given(STEPS)
def test_nothing_is_lost_or_started_twice_and_no_limit_is_passed(steps: list[tuple[str, int]]) -> None:
    harness = Harness()
    servers = [FakeServer("a", 2), FakeServer("b", 9), FakeServer("c", 3, "foreign"), FakeServer("d", 3, "foreign")]
    waiting: set[int] = set()
    turns: list[Turn] = []
    fetching: list[Turn] = []
    for step, number in steps:
        turn = turns[number % len(turns)] if turns else None
        if step == "put":
            waiting |= {one.id for one in harness.put(servers[number % 4])}
        elif step == "start":
            if (started := harness.start()) is not None:
                waiting.remove(started.request.id)
                turns.append(started)
                fetching.append(started)
        elif turn is not None:
            if step == "back":
                harness.queue.put_back(turn.request, turn.request.server)
                waiting.add(turn.request.id)
            (turn.end_fetch if step == "fetched" else turn.end)()
            fetching = [one for one in fetching if one is not turn]
            turns = turns if step == "fetched" else [one for one in turns if one is not turn]
        for server in servers:
            assert names(fetching).count(server.name) <= server.limit
            assert names(turns).count(server.name) <= 4
        assert sum(turn.request.server.group == "foreign" for turn in turns) <= 4
    for _ in range(len(waiting) + 1):
        for turn in [*turns, *harness.start_all()]:
            waiting.discard(turn.request.id)
            turn.end()
        turns = []
    assert not waiting
    assert not harness.queue._queues


def test_threads_start_everything_and_pass_no_limit() -> None:
    queue, lock = PrepareQueue(4), threading.Lock()
    servers = [FakeServer("a", 2), FakeServer("b", 3), FakeServer("c", 1)]
    done: list[int] = []
    running: dict[str, int] = dict.fromkeys("abc", 0)
    most = dict(running)

    def work() -> None:
        while (turn := queue.get()) is not None:
            name = turn.request.server.name
            with lock:
                running[name] += 1
                most[name] = max(most[name], running[name])
            with lock:
                running[name] -= 1
            turn.end_fetch()
            with lock:
                done.append(turn.request.id)
                if len(done) == 300:
                    queue.close()
            turn.end()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for number in range(300):
        queue.put(InFlightRequest(count_from(number), number, request(), CLOCKS, servers[number % 3]))
    for thread in threads:
        thread.join(60)
    assert sorted(done) == list(range(300))
    assert all(most[server.name] <= server.limit for server in servers)
