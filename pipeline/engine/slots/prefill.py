"""Prefills requests up to their first token; keys and values go to the KV cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType

import torch

from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.slots import prefill_ops_torch
from sightstream.pipeline.engine.slots.choice_scorer import score_edges
from sightstream.pipeline.engine.slots.cuda_graph import CudaGraph
from sightstream.pipeline.engine.slots.encoder_cache import EncoderCache
from sightstream.pipeline.engine.slots.image_writer import ImageWriter
from sightstream.pipeline.engine.slots.kv_cache import KvCache
from sightstream.pipeline.engine.slots.phase_timer import PhaseTimer, untimed
from sightstream.pipeline.engine.slots.prefill_inputs import PrefillInputs
from sightstream.pipeline.engine.slots.request import Request
from sightstream.pipeline.engine.slots.scheduler import MAX_GROUP, MAX_GROUP_TOKENS
from sightstream.pipeline.engine.slots.text_model import TextModel
from sightstream.pipeline.engine.slots.text_prefill import TextPrefill
from sightstream.pipeline.engine.slots.transfer import copy_numbers, copy_to_device
from sightstream.pipeline.engine.slots.vision import VisionEncoder

GRAPH_ROWS = (1, 2, MAX_GROUP)
GRAPH_TOKENS = (32, 48, 64, 128, 256, MAX_GROUP_TOKENS // MAX_GROUP)  # a short prompt's padding costs arithmetic


@dataclass(frozen=True, slots=True)
class PrefillOutput:
    """`logits` [requests, vocabulary] of the first tokens, and `edges`: all choice trees' edges' log-probabilities."""

    logits: torch.Tensor
    edges: torch.Tensor


class Prefill:
    """Launches all work on the current stream, one prefill at a time: the next one overwrites the result.

    Images come first, each once for all requests that hold its pages; then the prompts, which read them. Once captured,
    prompts are padded to the next of a few lengths; longer ones run without a graph.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        text: TextModel,
        vision: VisionEncoder,
        encoder_cache: EncoderCache,
        timed: PhaseTimer = untimed,
    ) -> None:
        model, self._timed = checkpoint.model, timed
        self._head, self._vision, self._encoder_cache = text.head, vision, encoder_cache
        self._device: torch.device = model.device
        self._hidden_size = model.config.text_config.hidden_size
        self._image_token = model.config.image_token_index
        self._max_tiles = model.config.vision_config.max_num_tiles
        ops = prefill_ops_for(model.device)
        self._text = TextPrefill(text, ops)
        self._image_writer = ImageWriter(model, ops)
        self._image_graphs: dict[int, CudaGraph] = {}  # by tiles
        self._graphs: dict[tuple[int, int], CudaGraph] = {}

    def capture(self, kv: KvCache) -> None:
        """Capture CUDA graphs that fill the pages of `kv`, on the current stream."""
        self.clear_graphs()
        pool = torch.cuda.graph_pool_handle()
        for tiles in sorted({self._max_tiles, 1}, reverse=True):
            self._image_graphs[tiles] = CudaGraph(partial(self._image_writer.write, kv), self._example(kv, tiles))
            self._image_graphs[tiles].capture(pool)
        for tokens in reversed(GRAPH_TOKENS):
            for rows in reversed(GRAPH_ROWS):
                example = PrefillInputs.idle(rows, tokens, self._max_tiles).packed.to(self._device)
                graph = CudaGraph(partial(self._forward, kv, tokens), (example,))
                graph.capture(pool)
                self._graphs[rows, tokens] = graph

    def clear_graphs(self) -> None:
        """Release the graphs, and with them the pages that they write."""
        self._image_graphs.clear()
        self._graphs.clear()

    def run(self, requests: Sequence[Request], kv: KvCache) -> PrefillOutput:
        """Fill the pages of at most `MAX_GROUP` requests; score the choices of those that have some."""
        for request in requests:
            self._fill_image(request, kv)
        rows, tokens = self._size(requests)
        inputs = PrefillInputs.of(requests, rows, tokens, self._max_tiles, self._image_token)
        graph = self._graphs.get((rows, tokens)) or partial(self._forward, kv, tokens)
        with self._timed("prompts", len(requests)):
            hidden: torch.Tensor = graph(copy_to_device(inputs.packed, self._device))
            edges = score_edges(self._head, hidden, [request.tree for request in requests])
            return PrefillOutput(self._head(hidden[: len(requests), -1]), edges)

    def _fill_image(self, request: Request, kv: KvCache) -> None:
        """Compute the image's keys and values, unless an earlier request about it did."""
        image = request.image
        assert image is not None  # noqa: S101
        if image.is_filled:
            return
        write = self._image_graphs.get(len(image.pages)) or partial(self._image_writer.write, kv)
        states = self._encoded(request)
        with self._timed("image_kv", 1):
            write(states, copy_numbers(image.pages, self._device))
        image.is_filled = True

    def _encoded(self, request: Request) -> torch.Tensor:
        """Return the encoded image, from the cache for a further question about it."""
        states = self._encoder_cache.get(request.image_key)
        if states is None:
            with self._timed("encode", 1):
                states = self._vision.encode(request.canvas, alone=request.is_alone)
            self._encoder_cache.put(request.image_key, states)
        return states

    def _example(self, kv: KvCache, tiles: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return states and pages of so many tiles; the captured work writes page 0."""
        size = (tiles, kv.shape.tile_tokens, self._hidden_size)
        states = torch.zeros(size, dtype=kv.shape.dtype, device=self._device)
        return states, torch.zeros(tiles, dtype=torch.long, device=self._device)

    def _size(self, requests: Sequence[Request]) -> tuple[int, int]:
        """Return the rows and tokens to pad to: those of a graph where one is large enough."""
        longest = max(request.prefill_tokens for request in requests)
        if not self._graphs or longest > GRAPH_TOKENS[-1]:
            return len(requests), longest
        return (
            min(rows for rows in GRAPH_ROWS if rows >= len(requests)),
            min(tokens for tokens in GRAPH_TOKENS if tokens >= longest),
        )

    def _forward(self, kv: KvCache, tokens: int, packed: torch.Tensor) -> torch.Tensor:
        """Return hidden states [rows, tokens, width], after the last norm."""
        return self._text.hidden(PrefillInputs(packed, self._max_tiles, tokens), kv)


def prefill_ops_for(device: torch.device) -> ModuleType:
    """Return the module with the fastest operations for a device."""
    if device.type != "cuda":
        return prefill_ops_torch
    from sightstream.pipeline.engine.slots import prefill_ops_triton

    return prefill_ops_triton
