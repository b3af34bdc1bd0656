"""Blocks of shared memory: none is handed out twice, none is lost, and idle ones stay within their bound."""

from __future__ import annotations

import mmap
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sightstream.pipeline import shared_memory_pool
from sightstream.pipeline.errors import Cancelled
from sightstream.pipeline.memory_file import MemoryFile
from sightstream.pipeline.shared_memory_pool import Block, SharedMemoryPool

COUNT = 5


class PoolMachine(RuleBasedStateMachine):
    """Whatever is allocated and released, no block is handed out twice and none is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = SharedMemoryPool(4096, COUNT)
        self.allocated: list[Block] = []

    @precondition(lambda self: len(self.allocated) < COUNT)
    @rule()
    def allocate(self) -> None:
        block = self.pool.allocate()
        assert block.offset not in {other.offset for other in self.allocated}
        assert block.offset in range(0, 4096 * COUNT, 4096)
        self.allocated.append(block)

    @precondition(lambda self: self.allocated)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.pool.release(self.allocated.pop(data.draw(st.integers(0, len(self.allocated) - 1))))

    @precondition(lambda self: len(self.allocated) < COUNT)
    @rule()
    def a_block_that_is_not_allocated_is_refused(self) -> None:
        free = {number * 4096 for number in range(COUNT)} - {block.offset for block in self.allocated}
        with pytest.raises(KeyError):
            self.pool.release(Block(free.pop(), 4096))

    @invariant()
    def all_are_accounted_for(self) -> None:
        assert self.pool.allocated == len(self.allocated)

    def teardown(self) -> None:
        self.pool.close()


TestPoolMachine = PoolMachine.TestCase


@pytest.fixture
def pool() -> Iterator[SharedMemoryPool]:
    pool = SharedMemoryPool(4096, 2)
    yield pool
    pool.close()


def test_many_threads_never_hold_the_same_block(pool: SharedMemoryPool) -> None:
    in_use: set[int] = set()
    clashes: list[int] = []

    def work() -> None:
        for _ in range(200):
            block = pool.allocate()
            if block.offset in in_use:
                clashes.append(block.offset)
            in_use.add(block.offset)
            in_use.discard(block.offset)
            pool.release(block)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert clashes == []
    assert pool.allocated == 0


def test_allocating_waits_for_a_free_block(pool: SharedMemoryPool) -> None:
    first, _ = pool.allocate(), pool.allocate()
    got: list[Block] = []
    waiter = threading.Thread(target=lambda: got.append(pool.allocate()))
    waiter.start()
    waiter.join(0.1)
    assert got == []
    pool.release(first)
    waiter.join(30)
    assert [block.offset for block in got] == [first.offset]


def test_closing_ends_the_wait_and_blocks_may_still_be_released() -> None:
    pool = SharedMemoryPool(4096, 1)
    block = pool.allocate()
    ended: list[Exception] = []

    def wait() -> None:
        try:
            pool.allocate()
        except Cancelled as error:
            ended.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    pool.close()
    waiter.join(30)
    assert len(ended) == 1
    pool.release(block)
    pool.close()


def resident_bytes(pool: SharedMemoryPool) -> int:
    return os.fstat(pool.memory.fileno()).st_blocks * 512


def fill(pool: SharedMemoryPool, length: int) -> Block:
    return fill_block(pool, pool.allocate(), length)


def fill_block(pool: SharedMemoryPool, block: Block, length: int) -> Block:
    pool.memory.write(block.offset, b"x" * length)
    return replace(block, length=length)


def test_idle_blocks_keep_no_more_pages_than_allowed() -> None:
    pool = SharedMemoryPool(1 << 20, 8, idle_bytes=2 << 20)
    blocks = [fill(pool, 1 << 20) for _ in range(8)]
    assert resident_bytes(pool) == 8 << 20
    for block in blocks:
        pool.release(block)
    assert resident_bytes(pool) == 2 << 20
    warm = {block.offset for block in blocks[:2]}
    assert {pool.allocate().offset for _ in range(2)} == warm  # blocks with pages are reused first
    cold = pool.allocate()
    assert bytes(cold.view()) == bytes(1 << 20)
    pool.close()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(1, 64)), max_size=40))
def test_resident_memory_is_bounded_by_allocated_and_idle_blocks(steps: list[tuple[bool, int, int]]) -> None:
    page, allocated = mmap.PAGESIZE, list[Block]()
    pool = SharedMemoryPool(64 * page, 6, idle_bytes=100 * page)
    for allocates, which, pages in steps:
        if allocates and len(allocated) < 6:
            allocated.append(fill(pool, pages * page))
        elif allocated:
            pool.release(allocated.pop(which % len(allocated)))
        # An allocated block may keep the pages of a larger image before it.
        assert resident_bytes(pool) <= (64 * len(allocated) + 100) * page
    for block in allocated:
        pool.release(block)
    assert resident_bytes(pool) <= 100 * page
    pool.close()


def test_a_block_states_how_much_of_it_is_resident() -> None:
    pool = SharedMemoryPool(1 << 20, 2)
    first = pool.allocate()
    assert first.resident_bytes == 0
    pool.release(fill_block(pool, first, 5000))
    again = pool.allocate()
    assert (again.offset, again.resident_bytes) == (first.offset, 5000)
    pool.release(fill_block(pool, again, 100))
    assert pool.allocate().resident_bytes == 5000  # left by the larger image before it
    pool.close()


def test_a_discarded_block_has_no_pages_left() -> None:
    pool = SharedMemoryPool(1 << 20, 2)
    pool.memory.write(pool.allocate().offset, b"x" * 9000)
    pool.discard(Block(0, 1 << 20))
    assert resident_bytes(pool) == 0
    assert [pool.allocate().resident_bytes for _ in range(2)] == [0, 0]
    pool.close()


def test_pages_that_no_block_accounts_for_are_noticed_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_memory_pool, "SLACK_BYTES", 0)
    pool = SharedMemoryPool(1 << 20, 8, idle_bytes=1 << 20)
    kept = fill(pool, 1 << 20)
    pool.release(fill(pool, 5000))
    pool.memory.write(3 << 20, b"x" * ((1 << 20) - 8192))  # now all that an allocated block and idle ones may have
    assert not pool.is_overused
    pool.memory.write(4 << 20, b"x")
    assert pool.is_overused
    pool.reclaim()
    assert resident_bytes(pool) == (1 << 20) + 8192
    assert bytes(kept.view()) == b"x" * (1 << 20)
    assert pool.allocate().resident_bytes == 5000
    pool.close()
    assert not pool.is_overused
    pool.reclaim()


def test_blocks_of_an_odd_size_do_not_overlap() -> None:
    pool = SharedMemoryPool(1000, 3)
    blocks = [pool.allocate() for _ in range(3)]
    for number, block in enumerate(blocks):
        pool.memory.write(block.offset, bytes([number]) * len(block))
    assert [bytes(block.view()) for block in blocks] == [bytes([number]) * 1000 for number in range(3)]
    pool.close()


def test_a_memory_files_size_is_final() -> None:
    memory = MemoryFile(8192)
    for size in (0, 4096, 10_000):
        with pytest.raises(PermissionError):
            os.ftruncate(memory.fileno(), size)
    memory.close()


def test_a_block_is_pickled_as_two_numbers(pool: SharedMemoryPool) -> None:
    block = pool.allocate()
    pool.memory.write(block.offset, b"here")
    sent = pickle.dumps(block)
    assert len(sent) < 100
    received = pickle.loads(sent)  # noqa: S301 - our own
    with pytest.raises(ValueError, match="is not attached"):
        received.view()
    assert bytes(received.within(pool.memory).view()[:4]) == b"here"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60_000), st.binary(max_size=5_000)), max_size=8))
def test_a_memory_file_is_an_array_of_bytes(writes: list[tuple[int, bytes]]) -> None:
    memory, model = MemoryFile(65_536), bytearray(65_536)
    for offset, data in writes:
        memory.write(offset, data)
        model[offset : offset + len(data)] = data
    assert bytes(memory.view(0, 65_536)) == bytes(model[:65_536])
    memory.close()


ROOT = Path(__file__).parents[2]
ECHO_IN_CAPITALS = """
import sys
from sightstream.pipeline.memory_file import MemoryFile
memory = MemoryFile.attach(int(sys.argv[1]))
received = bytes(memory.view(0, 5))
memory.write(1 << 20, received.upper())
sys.stdout.buffer.write(received)
"""


@pytest.mark.parametrize("memory_only", [True, False], ids=["in memory", "in an unlinked file"])
def test_a_child_reads_and_writes_the_same_memory(memory_only: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not memory_only:
        monkeypatch.delattr(os, "memfd_create")
    memory = MemoryFile(1 << 21)
    memory.write(0, b"hello")
    command = [sys.executable, "-c", ECHO_IN_CAPITALS, str(memory.fileno())]
    echo = subprocess.run(command, check=True, capture_output=True, pass_fds=[memory.fileno()], cwd=ROOT, timeout=60)
    assert echo.stdout == b"hello"
    assert bytes(memory.view(1 << 20, 5)) == b"HELLO"
    memory.close()


def test_memory_uses_pages_only_where_it_was_written_and_none_of_dev_shm() -> None:
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
