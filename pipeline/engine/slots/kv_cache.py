"""Where keys and values lie: pages of self-attention, pages of image tiles, and who has which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

PAGE_SIZE = 128
FP8_MAX = 448.0  # of float8_e4m3fn


class BlockAllocator:
    """Hands out page numbers. Page 0 is nobody's: idle rows of a batch write there."""

    def __init__(self, count: int) -> None:
        self._free = list(range(count - 1, 0, -1))

    def __len__(self) -> int:
        """How many are free."""
        return len(self._free)

    def allocate(self, count: int) -> list[int]:
        """`count` pages, at most as many as are free."""
        allocated = self._free[len(self._free) - count :]
        del self._free[len(self._free) - count :]
        return allocated

    def free(self, pages: list[int]) -> None:
        self._free += pages


@dataclass(frozen=True, slots=True)
class PageShape:
    """Sizes of a model's pages. `dtype` is that of self-attention, `tile_dtype` that of image tiles."""

    self_layers: int
    cross_layers: int
    heads: int
    width: int
    tile_tokens: int
    dtype: torch.dtype
    tile_dtype: torch.dtype

    @classmethod
    def of(cls, config: Any, dtype: torch.dtype, *, fp8_tiles: bool) -> PageShape:
        text, vision = config.text_config, config.vision_config
        crosses = len(text.cross_attention_layers)
        return cls(
            self_layers=text.num_hidden_layers - crosses,
            cross_layers=crosses,
            heads=text.num_key_value_heads,
            width=text.hidden_size // text.num_attention_heads,
            tile_tokens=(vision.image_size // vision.patch_size) ** 2 + 1,
            dtype=dtype,
            tile_dtype=torch.float8_e4m3fn if fp8_tiles else dtype,
        )

    @property
    def page_bytes(self) -> int:
        """Of one page of self-attention, all layers together."""
        return 2 * self.self_layers * self.heads * PAGE_SIZE * self.width * self.dtype.itemsize

    @property
    def tile_bytes(self) -> int:
        """Of one image tile, all layers together."""
        return 2 * self.cross_layers * self.heads * self.tile_tokens * self.width * self.tile_dtype.itemsize


@dataclass(frozen=True, slots=True)
class Layer:
    """`keys` and `values` [pages, heads, tokens, width]; `scales`, two of [pages, heads], where they are in FP8."""

    keys: torch.Tensor
    values: torch.Tensor
    scales: tuple[torch.Tensor, torch.Tensor] | None = None

    def store(self, pages: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Fills whole `pages` [n] with [n, heads, tokens, width]."""
        if self.scales is None:
            self.keys[pages], self.values[pages] = keys, values
            return
        for pool, scales, new in ((self.keys, self.scales[0], keys), (self.values, self.scales[1], values)):
            scale = (new.abs().amax(dim=(2, 3)).float() / FP8_MAX).clamp(min=1e-12)
            scales[pages] = scale
            pool.view(torch.uint8)[pages] = (new / scale[..., None, None]).to(pool.dtype).view(torch.uint8)


class KvCache:
    """All pages of a model, allocated once. Raises torch.OutOfMemoryError."""

    def __init__(self, shape: PageShape, pages: int, tiles: int, device: torch.device) -> None:
        self.shape = shape
        text = (pages, shape.heads, PAGE_SIZE, shape.width)
        image = (tiles, shape.heads, shape.tile_tokens, shape.width)
        self.self_layers = [_layer(text, shape.dtype, device) for _ in range(shape.self_layers)]
        self.cross_layers = [_layer(image, shape.tile_dtype, device) for _ in range(shape.cross_layers)]
        self.pages, self.tiles = BlockAllocator(pages), BlockAllocator(tiles)


def _layer(size: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Layer:
    keys, values = (torch.zeros(size, dtype=dtype, device=device) for _ in range(2))
    if dtype != torch.float8_e4m3fn:
        return Layer(keys, values)
    return Layer(keys, values, (torch.ones(size[:2], device=device), torch.ones(size[:2], device=device)))


def pages_for(tokens: int) -> int:
    """BlockAllocator of self-attention that `tokens` take."""
    return -(-tokens // PAGE_SIZE)
