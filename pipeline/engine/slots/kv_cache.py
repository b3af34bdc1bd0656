"""The KV cache: keys and values in pages of self-attention and pages of image tiles, on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from sightstream.pipeline.engine.slots.block_allocator import PAGE_SIZE

FP8_MAX = 448.0  # of float8_e4m3fn


@dataclass(frozen=True, slots=True)
class PageShape:
    """Gives the sizes of a model's pages. Self-attention is kept in `dtype`, image tiles in `tile_dtype`."""

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
        """Return the bytes of one page of self-attention in all layers together."""
        return 2 * self.self_layers * self.heads * PAGE_SIZE * self.width * self.dtype.itemsize

    @property
    def tile_bytes(self) -> int:
        """Return the bytes of one image tile in all layers together."""
        return 2 * self.cross_layers * self.heads * self.tile_tokens * self.width * self.tile_dtype.itemsize


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer's `keys` and `values`, [pages, heads, tokens, width] each.

    `scales`, two of [pages, heads], are there only where keys and values are kept in FP8.
    """

    keys: torch.Tensor
    values: torch.Tensor
    scales: tuple[torch.Tensor, torch.Tensor] | None = None

    def store_scaled(self, pages: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Fill whole `pages` [n] in FP8 with keys and values [n, heads, tokens, width]."""
        assert self.scales is not None  # noqa: S101
        for pool, scales, new in ((self.keys, self.scales[0], keys), (self.values, self.scales[1], values)):
            scale = (new.abs().amax(dim=(2, 3)).float() / FP8_MAX).clamp(min=1e-12)
            scales[pages] = scale
            pool.view(torch.uint8)[pages] = (new / scale[..., None, None]).to(pool.dtype).view(torch.uint8)


class KvCache:
    """Holds all pages of a model, allocated once. Raises torch.OutOfMemoryError."""

    def __init__(self, shape: PageShape, pages: int, tiles: int, device: torch.device) -> None:
        self.shape = shape
        text = (pages, shape.heads, PAGE_SIZE, shape.width)
        image = (tiles, shape.heads, shape.tile_tokens, shape.width)
        self.self_layers = [_layer(text, shape.dtype, device) for _ in range(shape.self_layers)]
        self.cross_layers = [_layer(image, shape.tile_dtype, device) for _ in range(shape.cross_layers)]


def _layer(size: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Layer:
    keys, values = (torch.zeros(size, dtype=dtype, device=device) for _ in range(2))
    if dtype != torch.float8_e4m3fn:
        return Layer(keys, values)
    return Layer(keys, values, (torch.ones(size[:2], device=device), torch.ones(size[:2], device=device)))
