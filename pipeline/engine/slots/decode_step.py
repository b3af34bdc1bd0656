"""The decode step of the whole batch."""

from __future__ import annotations

from functools import partial
from types import ModuleType

import torch

from sightstream.pipeline.engine.slots import ops_torch
from sightstream.pipeline.engine.slots.cuda_graph import CudaGraph
from sightstream.pipeline.engine.slots.decode_inputs import DecodeInputs
from sightstream.pipeline.engine.slots.kv_cache import KvCache
from sightstream.pipeline.engine.slots.text_decoder import TextDecoder


def ops_for(device: torch.device) -> ModuleType:
    """Return the module with the fastest operations for a device."""
    if device.type != "cuda":
        return ops_torch
    from sightstream.pipeline.engine.slots import ops_triton

    return ops_triton


def batch_sizes(max_rows: int) -> list[int]:
    """Return the sizes that batches are padded to: each needs a graph of its own, which takes memory."""
    return sorted({size for size in (1, 2, 4, 8, *range(16, max_rows, 16), max_rows) if size <= max_rows})


class DecodeStep:
    """Runs the decoder on `inputs`, which the caller owns, on the host.

    They must not change between `launch` and the arrival of its tokens.
    """

    def __init__(self, decoder: TextDecoder, kv: KvCache, inputs: DecodeInputs) -> None:
        self._inputs = inputs
        device = kv.self_layers[0].keys.device
        on_device = DecodeInputs(inputs.packed.to(device, copy=True), inputs.max_tiles)
        self._graphs: dict[int, CudaGraph] = {}
        for size in batch_sizes(len(inputs.packed)):
            run = partial(_logits, decoder, kv, inputs.max_tiles)
            self._graphs[size] = CudaGraph(run, (on_device.first(size).packed,))

    def capture(self) -> None:
        """Capture a CUDA graph for each batch size, on the current stream."""
        pool = torch.cuda.graph_pool_handle()
        for size in sorted(self._graphs, reverse=True):
            self._graphs[size].capture(pool)

    def launch(self, rows: int) -> torch.Tensor:
        """Launch a step of the first `rows` rows on the current stream; return the logits of their next tokens."""
        size = min(size for size in self._graphs if size >= rows)
        logits: torch.Tensor = self._graphs[size](self._inputs.first(size).packed)[:rows]
        return logits


def _logits(decoder: TextDecoder, kv: KvCache, max_tiles: int, packed: torch.Tensor) -> torch.Tensor:
    return decoder.logits(DecodeInputs(packed, max_tiles), kv)
