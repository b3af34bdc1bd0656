"""Checks how many slots the free memory of a device gives."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.slots.block_allocator import PAGE_SIZE
from sightstream.pipeline.engine.slots.kv_cache import KvCache, PageShape
from sightstream.pipeline.engine.slots.kv_capacity import KvCapacity
from sightstream.pipeline.engine.slots.memory import MAX_SLOTS, WORKSPACE_BYTES, capacity_for
from sightstream.pipeline.errors import Fatal
from tests.pipeline.engine.slots.asking import slot_settings

pytestmark = pytest.mark.slow

GIB = 1024**3
# The 11B model: 32 layers of self-attention, 8 of cross-attention, 8 heads of 128, 1601 tokens per tile.
LARGE = PageShape(32, 8, 8, 128, 1601, torch.bfloat16, torch.bfloat16)
CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The memory that a made-up GPU reports."""
    card = SimpleNamespace(free=60 * GIB, reserved=20 * GIB)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (card.free, 80 * GIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: card.reserved)
    return card


def used_bytes(capacity: KvCapacity, shape: PageShape) -> int:
    return capacity.pages * shape.page_bytes + capacity.tiles * shape.tile_bytes


def test_the_size_of_a_page() -> None:
    assert LARGE.page_bytes == PAGE_SIZE * 128 * 1024  # 128 KiB per token
    assert round(LARGE.tile_bytes / 1e6, 1) == 52.5
    assert dataclasses.replace(LARGE, tile_dtype=torch.float8_e4m3fn).tile_bytes * 2 == LARGE.tile_bytes


@pytest.mark.parametrize("fp8", [False, True])
def test_the_sizes_are_those_of_what_is_allocated(checkpoint: Checkpoint, fp8: bool) -> None:
    shape = PageShape.of(checkpoint.model.config, torch.float32, fp8_tiles=fp8)
    kv = KvCache(shape, 7, 5, CPU)
    layers = [kv.self_layers, kv.cross_layers]
    found = [sum(layer.keys.nbytes + layer.values.nbytes for layer in some) for some in layers]
    assert found == [7 * shape.page_bytes, 5 * shape.tile_bytes]
    assert len(kv.self_layers) + len(kv.cross_layers) == checkpoint.model.config.text_config.num_hidden_layers


def test_on_a_cpu_there_is_what_is_asked_for() -> None:
    assert capacity_for(slot_settings(max_batch=3, slot_tokens=300), LARGE, 8192, 4, CPU) == KvCapacity(3, 3, 64, 4)
    assert capacity_for(slot_settings(max_batch=None), LARGE, 8192, 4, CPU).slots == 8


@given(
    st.integers(1, 80 * GIB),
    st.none() | st.integers(1, 512),
    st.none() | st.floats(0.1, 80),
    st.integers(0, 4096),
    st.integers(64, 4096),
)
def test_no_more_memory_is_used_than_is_free(
    free: int, most: int | None, bound: float | None, encoder_cache_mib: int, slot_tokens: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "mem_get_info", lambda: (free, 80 * GIB))
        patch.setattr(torch.cuda, "memory_reserved", lambda: 5 * GIB)
        changes = {"max_batch": most, "memory_gib": bound, "slot_tokens": slot_tokens}
        settings = slot_settings(encoder_cache_mib=encoder_cache_mib, **changes)
        capacity = capacity_for(settings, LARGE, 8192, 4, GPU)
    budget = min(free, bound * GIB - 5 * GIB) if bound else free
    budget -= WORKSPACE_BYTES + encoder_cache_mib * 1024**2
    assert 1 <= capacity.slots <= (most or MAX_SLOTS)
    slot_bytes = 4 * LARGE.tile_bytes + capacity.slot_pages * LARGE.page_bytes
    page_zero = LARGE.page_bytes + LARGE.tile_bytes
    longest = capacity.max_pages * LARGE.page_bytes  # one answer of full length has to fit, however few slots there are
    if capacity.slots > 1:
        assert used_bytes(capacity, LARGE) <= budget + page_zero + longest
    if capacity.slots < (most or MAX_SLOTS):
        assert (capacity.slots + 1) * slot_bytes > budget


def large(**changes: object) -> int:
    return capacity_for(slot_settings(max_batch=512, slot_tokens=512, **changes), LARGE, 8192, 4, GPU).slots


def test_slots_of_the_large_model(free: SimpleNamespace) -> None:
    """Four tiles of 52.5 MB and 512 tokens of 128 KiB each; half for the tiles in FP8."""
    rest = 60 * GIB - WORKSPACE_BYTES - 1 * GIB
    assert large() == rest // (4 * 52_461_568 + 512 * 131_072)
    halves = dataclasses.replace(LARGE, tile_dtype=torch.float8_e4m3fn)
    fp8 = capacity_for(slot_settings(max_batch=512, slot_tokens=512), halves, 8192, 4, GPU).slots
    assert fp8 == rest // (2 * 52_461_568 + 512 * 131_072)


def test_a_bound_on_memory_counts_what_is_held_already(free: SimpleNamespace) -> None:
    unbound, bound = large(), large(memory_gib=50)
    assert large(memory_gib=200) == unbound
    free.free = 30 * GIB  # the 50 less the 20 that are held
    assert large() == large(memory_gib=200) == bound < unbound
    free.free = 10 * GIB
    assert large(memory_gib=50) == large() < bound


def test_a_gpu_that_is_full_still_tries_one(free: SimpleNamespace) -> None:
    free.free = GIB
    assert large() == 1


@pytest.mark.parametrize("slots", [2, 3, 4, 5, 100, 256])
def test_a_smaller_capacity_is_smaller_and_ends_at_one_slot(slots: int) -> None:
    capacity = KvCapacity(slots, 4, 64, 4)
    while capacity.slots > 1:
        less = capacity.smaller()
        assert 0 < less.slots < capacity.slots
        assert less.pages <= capacity.pages
        assert less.tiles < capacity.tiles
        capacity = less
    assert capacity.pages == 65
    with pytest.raises(Fatal, match="memory"):
        capacity.smaller()


def test_no_device_is_asked_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked() -> Any:
        raise AssertionError

    monkeypatch.setattr(torch.cuda, "mem_get_info", asked)
    capacity_for(slot_settings(), LARGE, 8192, 4, CPU)
