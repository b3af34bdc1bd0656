"""Sizes the KV cache to the free memory of the device."""

from __future__ import annotations

from dataclasses import replace

import torch

from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.slots.block_allocator import pages_for
from sightstream.pipeline.engine.slots.kv_cache import PageShape
from sightstream.pipeline.engine.slots.kv_capacity import KvCapacity

MAX_SLOTS = 384
# Kept free of pages on a GPU, for decode graphs, sampling and the allocator's rounding.
WORKSPACE_BYTES = 2 * 1024**3


def capacity_for(
    settings: EngineSettings, shape: PageShape, max_context: int, max_tiles: int, device: torch.device
) -> KvCapacity:
    """Return as many slots as `max_batch` or the free GPU memory allows."""
    capacity = KvCapacity(settings.batch, pages_for(settings.slot_tokens), pages_for(max_context), max_tiles)
    if device.type != "cuda":
        return capacity
    slot_bytes = max_tiles * shape.tile_bytes + capacity.slot_pages * shape.page_bytes
    slots = min(settings.max_batch or MAX_SLOTS, _free_bytes(settings) // slot_bytes)
    return replace(capacity, slots=max(1, slots))


def limit_memory(settings: EngineSettings) -> None:
    """Make torch raise OutOfMemoryError above `memory_gib` of the current GPU; weights loaded already count."""
    if settings.memory_gib is not None:
        total = torch.cuda.get_device_properties().total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, settings.memory_gib * 1024**3 / total))


def _free_bytes(settings: EngineSettings) -> int:
    """Return what pages may use of the current GPU as it is now."""
    free, _ = torch.cuda.mem_get_info()
    if settings.memory_gib is not None:
        free = min(free, int(settings.memory_gib * 1024**3) - torch.cuda.memory_reserved())
    return free - WORKSPACE_BYTES - settings.encoder_cache_mib * 1024**2
