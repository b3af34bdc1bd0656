"""The decode step of the whole batch, launched at once and waited for later."""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import Any

import torch

from sightstream.pipeline.engine.slots import ops_torch
from sightstream.pipeline.engine.slots.cuda_graph import CudaGraph
from sightstream.pipeline.engine.slots.decode_inputs import DecodeInputs
from sightstream.pipeline.engine.slots.kv_cache import KvCache
from sightstream.pipeline.engine.slots.sampler import SamplingBatch, sample
from sightstream.pipeline.engine.slots.text_decoder import TextDecoder


def ops_for(device: torch.device) -> ModuleType:
    """The fastest there are for a device."""
    if device.type != "cuda":
        return ops_torch
    from sightstream.pipeline.engine.slots import ops_triton

    return ops_triton


def batch_sizes(most: int) -> list[int]:
    """What a batch is filled up to: a graph has a fixed size, and each takes memory."""
    return sorted({size for size in (1, 2, 4, 8, *range(16, most, 16), most) if size <= most})


class PendingTokens:
    """Tokens on their way to the host."""

    def __init__(self, logits: torch.Tensor, draws: SamplingBatch | None) -> None:
        tokens = sample(logits, draws)
        self._on_gpu = tokens.device.type == "cuda"
        self._host = torch.empty(tokens.shape, dtype=tokens.dtype, pin_memory=self._on_gpu)
        self._host.copy_(tokens, non_blocking=True)
        if self._on_gpu:
            self._arrived = torch.cuda.Event()
            self._arrived.record()

    def ready(self) -> bool:
        return not self._on_gpu or self._arrived.query()

    def tokens(self) -> list[int]:
        """Waits for them. Raises what went wrong on the device since the last wait."""
        if self._on_gpu:
            self._arrived.synchronize()
        return self._host.tolist()


class DecodeStep:
    """`table` lies on the host and is the caller's; it must not change between `launch` and the tokens' arrival."""

    def __init__(self, decoder: TextDecoder, kv: KvCache, table: DecodeInputs) -> None:
        self._table = table
        device = kv.self_layers[0].keys.device
        on_device = DecodeInputs(table.packed.to(device, copy=True), table.max_tiles)
        self._graphs: dict[int, CudaGraph] = {}
        for size in batch_sizes(len(table.packed)):
            run = partial(_logits, decoder, kv, table.max_tiles)
            self._graphs[size] = CudaGraph(run, (on_device.first(size).packed,))

    def capture(self) -> None:
        """Makes CUDA graphs, on the current stream."""
        pool = torch.cuda.graph_pool_handle()
        for size in sorted(self._graphs, reverse=True):
            self._graphs[size].capture(pool)

    def launch(self, rows: int, draws: SamplingBatch | None) -> PendingTokens:
        """The next token of the first `rows` rows of the table; on the current stream."""
        size = min(size for size in self._graphs if size >= rows)
        return PendingTokens(self._graphs[size](self._table.first(size).packed)[:rows], draws)


def _logits(decoder: TextDecoder, kv: KvCache, max_tiles: int, numbers: torch.Tensor) -> Any:
    return decoder.logits(DecodeInputs(numbers, max_tiles), kv)
