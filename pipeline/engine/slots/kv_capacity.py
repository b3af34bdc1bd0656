"""How many answers the KV cache has memory for. Knows no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sightstream.pipeline.errors import Fatal


@dataclass(frozen=True, slots=True)
class KvCapacity:
    """Memory for `slots` answers at once, each with all tiles and `slot_pages` pages of text on average.

    A single answer may use up to `max_pages` pages; then fewer are left for the others.
    """

    slots: int
    slot_pages: int
    max_pages: int
    max_tiles: int

    @property
    def pages(self) -> int:
        """Pages of text, page 0 included; at least one answer of full length fits."""
        return max(self.max_pages, self.slots * self.slot_pages) + 1

    @property
    def tiles(self) -> int:
        """Pages of image tiles, page 0 included."""
        return self.slots * self.max_tiles + 1

    def smaller(self) -> KvCapacity:
        """Return a capacity with a quarter of the slots less. Raises Fatal when only one is left."""
        if self.slots == 1:
            raise Fatal("the device has no memory for a single answer; free some, or choose a smaller model or nf4")
        return replace(self, slots=self.slots * 3 // 4)
