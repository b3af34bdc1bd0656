"""How many answers can be written at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.slots.kv_cache import PageShape, pages_for
from sightstream.pipeline.errors import Fatal

MAX_SLOTS = 384
# Kept free of pages on a GPU, for decode graphs, sampling and the allocator's rounding.
WORKSPACE_BYTES = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class KvCapacity:
    """`slots` answers at once, each of all tiles and `slot_pages` of text; one may fill `max_pages`, another fewer."""

    slots: int
    slot_pages: int
    max_pages: int
    max_tiles: int

    @property
    def pages(self) -> int:
        """Of text, page 0 included; at least one answer of full length fits."""
        return max(self.max_pages, self.slots * self.slot_pages) + 1

    @property
    def tiles(self) -> int:
        """Pages of image tiles, page 0 included."""
        return self.slots * self.max_tiles + 1

    def smaller(self) -> KvCapacity:
        """A quarter less. Raises Fatal when there is nothing left to give up."""
        if self.slots == 1:
            raise Fatal("the device has no memory for a single answer; free some, or choose a smaller model or nf4")
        return replace(self, slots=self.slots * 3 // 4)


def capacity_for(
    settings: EngineSettings, shape: PageShape, max_context: int, max_tiles: int, device: torch.device
) -> KvCapacity:
    """As many slots as `max_batch` or free GPU memory allow."""
    capacity = KvCapacity(settings.batch, pages_for(settings.slot_tokens), pages_for(max_context), max_tiles)
    if device.type != "cuda":
        return capacity
    a_slot = max_tiles * shape.tile_bytes + capacity.slot_pages * shape.page_bytes
    return replace(capacity, slots=max(1, min(settings.max_batch or MAX_SLOTS, _free_bytes(settings) // a_slot)))


def limit_memory(settings: EngineSettings) -> None:
    """More than `memory_gib` of the current GPU is out of memory, the weights that are loaded included."""
    if settings.memory_gib is not None:
        total = torch.cuda.get_device_properties().total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, settings.memory_gib * 1024**3 / total))


def _free_bytes(settings: EngineSettings) -> int:
    """What pages may take of the current GPU, as it is now."""
    free, _ = torch.cuda.mem_get_info()
    if settings.memory_gib is not None:
        free = min(free, int(settings.memory_gib * 1024**3) - torch.cuda.memory_reserved())
    return free - WORKSPACE_BYTES - settings.encoder_cache_mib * 1024**2
