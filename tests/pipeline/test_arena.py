from __future__ import annotations

import mmap
import multiprocessing
import os
import pickle
import threading
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sightstream.pipeline.arena import Arena, Block
from sightstream.pipeline.errors import Cancelled
from sightstream.pipeline.memory_file import MemoryFile

COUNT = 5


class Bookkeeping(RuleBasedStateMachine):
    """Whatever is taken and given back, no block is out twice and none is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.arena = Arena(4096, COUNT)
        self.out: list[Block] = []

    @precondition(lambda self: len(self.out) < COUNT)
    @rule()
    def take(self) -> None:
        block = self.arena.take()
        assert block.offset not in {other.offset for other in self.out}
        assert block.offset in range(0, 4096 * COUNT, 4096)
        self.out.append(block)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        self.arena.give_back(self.out.pop(data.draw(st.integers(0, len(self.out) - 1))))

    @precondition(lambda self: len(self.out) < COUNT)
    @rule()
    def a_block_that_is_not_out_is_refused(self) -> None:
        free = {number * 4096 for number in range(COUNT)} - {block.offset for block in self.out}
        with pytest.raises(KeyError):
            self.arena.give_back(Block(free.pop(), 4096))

    @invariant()
    def all_are_accounted_for(self) -> None:
        assert self.arena.taken == len(self.out)

    def teardown(self) -> None:
        self.arena.close()


TestBookkeeping = Bookkeeping.TestCase


@pytest.fixture
def arena() -> Iterator[Arena]:
    arena = Arena(4096, 2)
    yield arena
    arena.close()


def test_many_threads_never_hold_the_same_block(arena: Arena) -> None:
    held: set[int] = set()
    clashes: list[int] = []

    def work() -> None:
        for _ in range(200):
            block = arena.take()
            if block.offset in held:
                clashes.append(block.offset)
            held.add(block.offset)
            held.discard(block.offset)
            arena.give_back(block)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert clashes == []
    assert arena.taken == 0


def test_taking_waits_for_a_free_block(arena: Arena) -> None:
    first, _ = arena.take(), arena.take()
    got: list[Block] = []
    waiter = threading.Thread(target=lambda: got.append(arena.take()))
    waiter.start()
    waiter.join(0.1)
    assert got == []
    arena.give_back(first)
    waiter.join(30)
    assert [block.offset for block in got] == [first.offset]


def test_closing_ends_the_wait_and_blocks_may_still_come_back() -> None:
    arena = Arena(4096, 1)
    block = arena.take()
    ended: list[Exception] = []

    def wait() -> None:
        try:
            arena.take()
        except Cancelled as error:
            ended.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    arena.close()
    waiter.join(30)
    assert len(ended) == 1
    arena.give_back(block)
    arena.close()


def room(arena: Arena) -> int:
    return os.fstat(arena.memory.fileno()).st_blocks * 512


def fill(arena: Arena, length: int) -> Block:
    return fill_block(arena, arena.take(), length)


def fill_block(arena: Arena, block: Block, length: int) -> Block:
    arena.memory.write(block.offset, b"x" * length)
    return replace(block, length=length)


def test_idle_blocks_keep_no_more_room_than_they_may() -> None:
    arena = Arena(1 << 20, 8, idle_bytes=2 << 20)
    blocks = [fill(arena, 1 << 20) for _ in range(8)]
    assert room(arena) == 8 << 20
    for block in blocks:
        arena.give_back(block)
    assert room(arena) == 2 << 20
    warm = {block.offset for block in blocks[:2]}
    assert {arena.take().offset for _ in range(2)} == warm  # what has room is handed out first
    cold = arena.take()
    assert bytes(cold.view()) == bytes(1 << 20)
    arena.close()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(1, 64)), max_size=40))
def test_room_is_what_is_out_and_what_may_lie_idle(steps: list[tuple[bool, int, int]]) -> None:
    page, out = mmap.PAGESIZE, []
    arena = Arena(64 * page, 6, idle_bytes=100 * page)
    for takes, which, pages in steps:
        if takes and len(out) < 6:
            out.append(fill(arena, pages * page))
        elif out:
            arena.give_back(out.pop(which % len(out)))
        # A block that is out may keep room of a larger picture before.
        assert room(arena) <= (64 * len(out) + 100) * page
    for block in out:
        arena.give_back(block)
    assert room(arena) <= 100 * page
    arena.close()


def test_a_block_tells_what_room_it_has() -> None:
    arena = Arena(1 << 20, 2)
    first = arena.take()
    assert first.kept == 0
    arena.give_back(fill_block(arena, first, 5000))
    again = arena.take()
    assert (again.offset, again.kept) == (first.offset, 5000)
    arena.give_back(fill_block(arena, again, 100))
    assert arena.take().kept == 5000  # of the larger picture before
    arena.close()


def test_a_block_given_up_has_no_room_left() -> None:
    arena = Arena(1 << 20, 2)
    arena.memory.write(arena.take().offset, b"x" * 9000)
    arena.give_up(Block(0, 1 << 20))
    assert room(arena) == 0
    assert [arena.take().kept for _ in range(2)] == [0, 0]
    arena.close()


def test_blocks_of_an_odd_size_do_not_overlap() -> None:
    arena = Arena(1000, 3)
    blocks = [arena.take() for _ in range(3)]
    for number, block in enumerate(blocks):
        arena.memory.write(block.offset, bytes([number]) * len(block))
    assert [bytes(block.view()) for block in blocks] == [bytes([number]) * 1000 for number in range(3)]
    arena.close()


def test_a_memory_files_size_is_final() -> None:
    memory = MemoryFile(8192)
    for size in (0, 4096, 10_000):
        with pytest.raises(PermissionError):
            os.ftruncate(memory.fileno(), size)
    memory.close()


def test_a_block_travels_as_two_numbers(arena: Arena) -> None:
    block = arena.take()
    arena.memory.write(block.offset, b"here")
    sent = pickle.dumps(block)
    assert len(sent) < 100
    there = pickle.loads(sent)  # noqa: S301 - our own
    with pytest.raises(ValueError, match="not been placed"):
        there.view()
    assert bytes(there.within(arena.memory).view()[:4]) == b"here"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60_000), st.binary(max_size=5_000)), max_size=8))
def test_a_memory_file_is_an_array_of_bytes(writes: list[tuple[int, bytes]]) -> None:
    memory, model = MemoryFile(65_536), bytearray(65_536)
    for offset, data in writes:
        memory.write(offset, data)
        model[offset : offset + len(data)] = data
    assert bytes(memory.view(0, 65_536)) == bytes(model[:65_536])
    memory.close()


def _shout(connection: Connection, memory: MemoryFile) -> None:
    heard = bytes(memory.view(0, 5))
    memory.write(1 << 20, heard.upper())
    connection.send(heard)


@pytest.mark.parametrize("memory_only", [True, False], ids=["in memory", "in an unlinked file"])
def test_a_child_reads_and_writes_the_same_memory(memory_only: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not memory_only:
        monkeypatch.delattr(os, "memfd_create")
    memory = MemoryFile(1 << 21)
    memory.write(0, b"hello")
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_shout, args=(theirs, memory), daemon=True)
    process.start()
    theirs.close()
    assert ours.recv() == b"hello"
    process.join(30)
    assert bytes(memory.view(1 << 20, 5)) == b"HELLO"
    memory.close()


def test_memory_takes_room_only_where_it_was_written_and_none_of_dev_shm() -> None:
    memory = MemoryFile(1 << 40)
    memory.write(1 << 39, b"x")
    assert os.fstat(memory._handle).st_blocks * 512 <= 1 << 21
    assert os.fstat(memory._handle).st_dev != os.stat("/dev/shm").st_dev
    memory.close()


def test_views_outlive_the_closing() -> None:
    memory = MemoryFile(4096)
    memory.write(0, b"kept")
    view = memory.view(0, 4)
    memory.close()
    assert bytes(view) == b"kept"
