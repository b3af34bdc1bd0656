"""Encodes canvases to the states that the text model attends to, one image at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from sightstream.pipeline.decode.tiles import aspect_ratio_id
from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.slots.cuda_graph import CudaGraph
from sightstream.pipeline.engine.slots.transfer import copy_bytes, copy_numbers
from sightstream.pipeline.engine.slots.vision_attention import Tokens, VisionAttention
from sightstream.pipeline.engine.slots.vision_embeddings import allow_fewer_tiles
from sightstream.pipeline.types import Canvas


class VisionEncoder:
    """Runs the vision model and its projector on the current stream; captured, with a CUDA graph per tile count.

    The stock model computes as many tiles as it can have, and those that an image has not are padding. One tile can
    also be computed alone: a quarter of the work, and other numbers.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._model = checkpoint.model.model
        vision, images = self._model.vision_model, checkpoint.processor.image_processor
        self._device, self._dtype = checkpoint.model.device, checkpoint.model.dtype
        self._side, self._max_tiles = images.size["height"], vision.max_num_tiles
        # As the processor does it: levels to 0..1, minus the mean, divided by the deviation.
        self._rescale = images.rescale_factor
        self._mean, self._deviation = (self._channels(images.image_mean), self._channels(images.image_std))
        self._attention = VisionAttention(vision)
        allow_fewer_tiles(vision)
        counts = range(1, self._max_tiles + 1)
        self._tokens = [Tokens.of(tiles, self._max_tiles, vision.num_patches, self._device) for tiles in counts]
        self._graphs = [CudaGraph(self._encode, self._example(tiles)) for tiles in counts]
        self._alone_tokens = Tokens.of(1, 1, vision.num_patches, self._device)
        self._alone = CudaGraph(self._encode_alone, self._example(1))

    def capture(self) -> None:
        """Capture a CUDA graph for each number of tiles, on the current stream."""
        pool = torch.cuda.graph_pool_handle()
        for graph in [*reversed(self._graphs), self._alone]:
            graph.capture(pool)

    def encode(self, canvas: Canvas, *, alone: bool = False) -> torch.Tensor:
        """Return states [max_tiles, tokens, hidden]; the next call may overwrite them.

        Tiles that the image does not have are included: text before the image attends to them too. A single tile that
        is computed `alone` is all there is, [1, tokens, hidden].
        """
        tiles = self._tiles(canvas)
        ratio = aspect_ratio_id(canvas.rows, canvas.columns, self._max_tiles)
        graph = self._alone if alone else self._graphs[len(tiles) - 1]
        states: torch.Tensor = graph(tiles, copy_numbers([ratio], self._device)[:, None])
        return states

    def _tiles(self, canvas: Canvas) -> torch.Tensor:
        """Return tiles [tiles, 3, side, side], row by row."""
        grid = copy_bytes(canvas.buffer(), self._device).view(canvas.rows, self._side, canvas.columns, self._side, 3)
        return grid.permute(0, 2, 4, 1, 3).flatten(0, 1)

    def _encode(self, tiles: torch.Tensor, ratio: torch.Tensor) -> torch.Tensor:
        """`tiles` [tiles, 3, side, side] uint8; `ratio` [1, 1], the number of their arrangement."""
        return self._run(tiles, ratio, self._tokens[len(tiles) - 1], self._max_tiles)

    def _encode_alone(self, tile: torch.Tensor, ratio: torch.Tensor) -> torch.Tensor:
        return self._run(tile, ratio, self._alone_tokens, 1)

    def _run(self, tiles: torch.Tensor, ratio: torch.Tensor, tokens: Tokens, computed: int) -> torch.Tensor:
        """Compute so many tiles, of which those behind the given ones are padding."""
        count = len(tiles)
        self._attention.tokens = tokens
        pixels = (tiles * self._rescale - self._mean) / self._deviation
        pixels = functional.pad(pixels, (0, 0, 0, 0, 0, 0, 0, computed - count))
        is_tile = torch.arange(computed, device=self._device) < count
        states = self._model.vision_model(
            pixel_values=pixels[None, None].to(self._dtype),
            aspect_ratio_ids=ratio,
            aspect_ratio_mask=is_tile.long()[None, None],
        ).last_hidden_state
        projected: torch.Tensor = self._model.multi_modal_projector(states[0, 0])
        return projected

    def _example(self, tiles: int) -> tuple[torch.Tensor, torch.Tensor]:
        pixels = torch.zeros((tiles, 3, self._side, self._side), dtype=torch.uint8, device=self._device)
        return pixels, torch.ones((1, 1), dtype=torch.long, device=self._device)

    def _channels(self, values: Any) -> torch.Tensor:
        return torch.tensor(values, device=self._device).view(1, 3, 1, 1)
