"""Lets a vision model compute fewer tiles than it was made for: its embeddings of tiles are cut to those given."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch


def allow_fewer_tiles(vision_model: Any) -> None:
    """Replace the forward passes of the tile embeddings, in place. With all tiles they do what they did before."""
    vision_model.gated_positional_embedding.forward = partial(_add_positions, vision_model.gated_positional_embedding)
    for module in (vision_model.pre_tile_positional_embedding, vision_model.post_tile_positional_embedding):
        module.forward = partial(_add_tiles, module)


def _add_positions(module: Any, hidden_state: torch.Tensor, aspect_ratio_ids: torch.Tensor) -> torch.Tensor:
    """`hidden_state` [images, tiles, tokens, width]."""
    gate, size = module.gate.tanh(), (-1, module.max_num_tiles, module.num_patches, module.hidden_size)
    hidden_state = hidden_state + ((1 - gate) * module.embedding).view(1, 1, *size[2:])
    of_tiles = module.tile_embedding(aspect_ratio_ids).reshape(size)
    positioned: torch.Tensor = hidden_state + gate * of_tiles[:, : hidden_state.shape[1]]
    return positioned


def _add_tiles(module: Any, hidden_state: torch.Tensor, aspect_ratio_ids: torch.Tensor) -> torch.Tensor:
    """`hidden_state` [images, tiles, tokens, width]."""
    of_tiles = module.embedding(aspect_ratio_ids).reshape(-1, module.max_num_tiles, 1, module.hidden_size)
    if module.is_gated:
        of_tiles = of_tiles * module.gate.tanh()
    added: torch.Tensor = hidden_state + of_tiles[:, : hidden_state.shape[1]]
    return added
