"""Checks that each block has one owner at a time, and that the integrity check sees when it has not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.pipeline.engine.slots.block_allocator import BlockAllocator, pages_for


@pytest.mark.parametrize(("tokens", "pages"), [(1, 1), (128, 1), (129, 2), (8192, 64)])
def test_pages_for_tokens(tokens: int, pages: int) -> None:
    assert pages_for(tokens) == pages


@given(st.integers(1, 40), st.lists(st.tuples(st.integers(0, 12), st.integers(0, 5)), max_size=60))
def test_no_block_is_allocated_twice(count: int, moves: list[tuple[int, int]]) -> None:
    pages, held = BlockAllocator(count), list[list[int]]()
    for wanted, back in moves:
        allocated = pages.allocate(min(wanted, len(pages)))
        assert len(allocated) == min(wanted, count - 1 - sum(map(len, held)))
        held.append(allocated)
        out = [page for some in held for page in some]
        assert len(set(out)) == len(out)
        assert set(out) <= {*range(1, count)}
        assert len(pages) == count - 1 - len(out)
        pages.check_integrity(out)
        if back < len(held):
            pages.free(held.pop(back))
    for some in held:
        pages.free(some)
    pages.check_integrity()
    assert sorted(pages.allocate(len(pages))) == [*range(1, count)]


def test_the_integrity_check_sees_lost_doubled_and_unknown_blocks() -> None:
    allocator = BlockAllocator(10)
    blocks = allocator.allocate(4)
    allocator.check_integrity(blocks)
    for wrong in (blocks[:-1], [*blocks, blocks[0]], [*blocks, 0], [*blocks, 10], []):
        with pytest.raises(RuntimeError, match="blocks"):
            allocator.check_integrity(wrong)
    allocator.free(blocks)
    allocator.check_integrity()
    allocator.free(blocks[:1])
    with pytest.raises(RuntimeError, match="twice"):
        allocator.check_integrity()
