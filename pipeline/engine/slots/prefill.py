"""Prefills requests with the model's own forward pass, up to their first token; keys and values go to the KV cache."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch

from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.slots.cuda_graph import CudaGraph
from sightstream.pipeline.engine.slots.encoder_cache import EncoderCache
from sightstream.pipeline.engine.slots.kv_cache import KvCache
from sightstream.pipeline.engine.slots.page_writer import PageWriter
from sightstream.pipeline.engine.slots.prefill_inputs import PrefillInputs
from sightstream.pipeline.engine.slots.request import Request
from sightstream.pipeline.engine.slots.scheduler import MAX_GROUP, MAX_GROUP_TOKENS
from sightstream.pipeline.engine.slots.transfer import copy_to_device
from sightstream.pipeline.engine.slots.vision import VisionEncoder

GRAPH_ROWS = (1, 2, MAX_GROUP)
GRAPH_TOKENS = (64, 128, 256, MAX_GROUP_TOKENS // MAX_GROUP)


class Prefill:
    """Launches all work on the current stream, one prefill at a time: the next one overwrites the result.

    Once captured, prompts are padded to the next of a few lengths; longer ones run without a graph.
    """

    def __init__(self, checkpoint: Checkpoint, vision: VisionEncoder, encoder_cache: EncoderCache) -> None:
        model = checkpoint.model
        self._model, self._vision, self._encoder_cache = model, vision, encoder_cache
        self._image_token = model.config.image_token_index
        self._crossing = sorted(model.config.text_config.cross_attention_layers)
        self._max_tiles = model.config.vision_config.max_num_tiles
        tokens, hidden = model.model.vision_model.num_patches, model.config.text_config.hidden_size
        size = (MAX_GROUP * self._max_tiles, tokens, hidden)
        self._states = torch.zeros(size, dtype=model.dtype, device=model.device)
        self._graphs: dict[tuple[int, int], CudaGraph] = {}

    def capture(self, kv: KvCache) -> None:
        """Capture CUDA graphs that fill the pages of `kv`, on the current stream."""
        self.clear_graphs()
        pool = torch.cuda.graph_pool_handle()
        for tokens in reversed(GRAPH_TOKENS):
            for rows in reversed(GRAPH_ROWS):
                example = PrefillInputs.idle(rows, tokens, self._max_tiles).packed.to(self._states.device)
                graph = CudaGraph(partial(self._forward, kv, tokens), (example,))
                graph.capture(pool)
                self._graphs[rows, tokens] = graph

    def clear_graphs(self) -> None:
        """Release the graphs, and with them the pages that they write."""
        self._graphs.clear()

    def run(self, requests: Sequence[Request], kv: KvCache) -> torch.Tensor:
        """Fill the pages of at most `MAX_GROUP` requests; return the logits of their first tokens.

        The logits are [requests, vocabulary].
        """
        for row, request in enumerate(requests):
            self._states[row * self._max_tiles : (row + 1) * self._max_tiles].copy_(self._encoded(request))
        rows, tokens = self._size(requests)
        inputs = PrefillInputs.of(requests, rows, tokens, self._max_tiles, self._image_token)
        packed = copy_to_device(inputs.packed, self._states.device)
        graph = self._graphs.get((rows, tokens))
        logits: torch.Tensor = graph(packed) if graph else self._forward(kv, tokens, packed)
        return logits[: len(requests)]

    def _encoded(self, request: Request) -> torch.Tensor:
        """Return the encoded image, from the cache for a further question about it."""
        states = self._encoder_cache.get(request.job.image_key)
        if states is None:
            states = self._vision.encode(request.canvas)
            self._encoder_cache.put(request.job.image_key, states)
        return states

    def _size(self, requests: Sequence[Request]) -> tuple[int, int]:
        """Return the rows and tokens to pad to: those of a graph where one is large enough."""
        longest = max(len(request.prompt) for request in requests)
        if not self._graphs or longest > GRAPH_TOKENS[-1]:
            return len(requests), longest
        return (
            min(rows for rows in GRAPH_ROWS if rows >= len(requests)),
            min(tokens for tokens in GRAPH_TOKENS if tokens >= longest),
        )

    def _forward(self, kv: KvCache, tokens: int, packed: torch.Tensor) -> torch.Tensor:
        inputs = PrefillInputs(packed, self._max_tiles, tokens)
        hidden = self._model.model(
            input_ids=inputs.tokens,
            attention_mask=inputs.text_mask,
            position_ids=inputs.positions,
            cross_attention_states=self._states[: len(packed) * self._max_tiles],
            cross_attention_mask=inputs.image_mask,
            past_key_values=PageWriter(kv, inputs, self._crossing),
            use_cache=True,
        ).last_hidden_state
        logits: torch.Tensor = self._model.lm_head(hidden[:, -1])
        return logits
