"""Requests from prompt and image to their first token: the model's own forward pass, its keys and values kept."""

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
from sightstream.pipeline.engine.slots.transfer import copy_to_device
from sightstream.pipeline.engine.slots.vision import VisionEncoder

GROUP = 4  # requests prefilled together: the text model's weights are then read once for all
GROUP_TOKENS = 2048  # of prompts, padding included
GRAPH_ROWS = (1, 2, GROUP)
GRAPH_TOKENS = (64, 128, 256, GROUP_TOKENS // GROUP)


class Prefill:
    """All work goes to the current stream. Captured, a prompt is padded to the next of a few lengths; longer ones go
    as they are. One prefill at a time: the next one overwrites the states of images and the result."""

    def __init__(self, checkpoint: Checkpoint, vision: VisionEncoder, encodings: EncoderCache) -> None:
        model = checkpoint.model
        self._model, self._vision, self._encodings = model, vision, encodings
        self._image_token = model.config.image_token_index
        self._crossing = sorted(model.config.text_config.cross_attention_layers)
        self._max_tiles = model.config.vision_config.max_num_tiles
        tokens, hidden = model.model.vision_model.num_patches, model.config.text_config.hidden_size
        size = (GROUP * self._max_tiles, tokens, hidden)
        self._states = torch.zeros(size, dtype=model.dtype, device=model.device)
        self._graphs: dict[tuple[int, int], CudaGraph] = {}

    def capture(self, kv: KvCache) -> None:
        """Makes CUDA graphs that fill these pages, on the current stream."""
        self.forget()
        pool = torch.cuda.graph_pool_handle()
        for tokens in reversed(GRAPH_TOKENS):
            for rows in reversed(GRAPH_ROWS):
                example = PrefillInputs.idle(rows, tokens, self._max_tiles).packed.to(self._states.device)
                graph = CudaGraph(partial(self._forward, kv, tokens), (example,))
                graph.capture(pool)
                self._graphs[rows, tokens] = graph

    def forget(self) -> None:
        """Lets go of the graphs and of their pages."""
        self._graphs.clear()

    def run(self, requests: Sequence[Request], kv: KvCache) -> torch.Tensor:
        """Fills the pages of at most `GROUP` requests; returns the logits [requests, vocabulary] of what they say
        first."""
        for row, request in enumerate(requests):
            self._states[row * self._max_tiles : (row + 1) * self._max_tiles].copy_(self._encoded(request))
        rows, tokens = self._size(requests)
        table = PrefillInputs.of(requests, rows, tokens, self._max_tiles, self._image_token)
        numbers = copy_to_device(table.packed, self._states.device)
        graph = self._graphs.get((rows, tokens))
        logits = graph(numbers) if graph else self._forward(kv, tokens, numbers)
        return logits[: len(requests)]

    def _encoded(self, request: Request) -> torch.Tensor:
        """Once for all questions about the image while it is kept."""
        states = self._encodings.get(request.job.image_key)
        if states is None:
            states = self._vision.encode(request.canvas)
            self._encodings.keep(request.job.image_key, states)
        return states

    def _size(self, requests: Sequence[Request]) -> tuple[int, int]:
        """Rows and tokens: those of a graph where one is large enough."""
        longest = max(len(request.prompt) for request in requests)
        if not self._graphs or longest > GRAPH_TOKENS[-1]:
            return len(requests), longest
        return (
            min(rows for rows in GRAPH_ROWS if rows >= len(requests)),
            min(tokens for tokens in GRAPH_TOKENS if tokens >= longest),
        )

    def _forward(self, kv: KvCache, tokens: int, numbers: torch.Tensor) -> torch.Tensor:
        table = PrefillInputs(numbers, self._max_tiles, tokens)
        hidden = self._model.model(
            input_ids=table.tokens,
            attention_mask=table.text_mask,
            position_ids=table.positions,
            cross_attention_states=self._states[: len(numbers) * self._max_tiles],
            cross_attention_mask=table.image_mask,
            past_key_values=PageWriter(kv, table, self._crossing),
            use_cache=True,
        ).last_hidden_state
        return self._model.lm_head(hidden[:, -1])
