"""Requests from prompt and image to their first token: the model's own forward pass, its keys and values kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pipeline.engine.checkpoint import Checkpoint
from pipeline.engine.slots.encodings import Encodings
from pipeline.engine.slots.key_values import TOKENS_A_PAGE, KeyValues
from pipeline.engine.slots.request import Request
from pipeline.engine.slots.transfer import send, send_numbers
from pipeline.engine.slots.vision import VisionEncoder


@dataclass(frozen=True, slots=True)
class _Prompts:
    """Left-padded, for padding on the right would change the shorter ones' answers.

    `tokens`, `positions` [rows, tokens]; `sees_text` [rows, 1, tokens, tokens]; `sees_image` [rows, tokens, 1, tiles].
    """

    tokens: torch.Tensor
    positions: torch.Tensor
    sees_text: torch.Tensor
    sees_image: torch.Tensor

    @classmethod
    def of(cls, requests: Sequence[Request], image_token: int, max_tiles: int, device: torch.device) -> _Prompts:
        longest = max(len(request.prompt) for request in requests)
        tokens = torch.zeros((len(requests), longest), dtype=torch.long)
        there = torch.zeros((len(requests), longest), dtype=torch.bool)
        sees_image = torch.zeros((len(requests), longest, 1, max_tiles), dtype=torch.long)
        for row, request in enumerate(requests):
            start = longest - len(request.prompt)
            tokens[row, start:] = torch.tensor(request.prompt)
            there[row, start:] = True
            sees_image[row, start + request.prompt.index(image_token) :, :, : request.tiles] = 1
        positions = (there.cumsum(-1) - 1).clamp(min=0)
        return cls(*(send(part, device) for part in (tokens, positions, _causal(there), sees_image)))


def _causal(there: torch.Tensor) -> torch.Tensor:
    """Who sees whom: what stands before, and oneself, for a row that sees nothing has no softmax."""
    size = there.shape[1]
    return (there[:, None, None, :].expand(-1, 1, size, size)).tril() | torch.eye(size, dtype=torch.bool)


class Prefill:
    """All work goes to the current stream."""

    def __init__(self, checkpoint: Checkpoint, vision: VisionEncoder, encodings: Encodings) -> None:
        self._model, self._vision, self._encodings = checkpoint.model, vision, encodings
        self._image_token = checkpoint.model.config.image_token_index
        self._max_tiles = checkpoint.model.config.vision_config.max_num_tiles

    def run(self, requests: Sequence[Request], kv: KeyValues) -> torch.Tensor:
        """Fills the requests' pages; returns the logits [requests, vocabulary] of their first tokens."""
        states = torch.cat([self._states(request) for request in requests])
        device = states.device
        prompts = _Prompts.of(requests, self._image_token, self._max_tiles, device)
        out = self._model.model(
            input_ids=prompts.tokens,
            attention_mask=prompts.sees_text,
            position_ids=prompts.positions,
            cross_attention_states=states,
            cross_attention_mask=prompts.sees_image,
            use_cache=True,
        )
        self._keep(out.past_key_values, requests, prompts.tokens.shape[1], kv)
        return self._model.lm_head(out.last_hidden_state[:, -1])

    def _states(self, request: Request) -> torch.Tensor:
        """Encoded once for all questions about the image while it is kept."""
        states = self._encodings.get(request.job.image_key)
        if states is None:
            states = self._vision.encode(request.canvas).clone()
            self._encodings.keep(request.job.image_key, states)
        return states

    def _keep(self, cache: Any, requests: Sequence[Request], longest: int, kv: KeyValues) -> None:
        crossing = set(self._model.config.text_config.cross_attention_layers)
        selves = [layer for index, layer in enumerate(cache.layers) if index not in crossing]
        self._keep_text(selves, requests, longest, kv)
        self._keep_tiles([cache.layers[index] for index in sorted(crossing)], requests, kv)

    def _keep_text(self, layers: list[Any], requests: Sequence[Request], longest: int, kv: KeyValues) -> None:
        """Token by token: [rows, heads, tokens, width] to where each row's pages lie."""
        told = [(row, token) for row, request in enumerate(requests) for token in range(len(request.prompt))]
        rows = [row for row, _ in told]
        columns = [longest - len(requests[row].prompt) + token for row, token in told]
        pages = [requests[row].pages[token // TOKENS_A_PAGE] for row, token in told]
        offsets = [token % TOKENS_A_PAGE for _, token in told]
        device = layers[0].keys.device
        row, column, page, offset = (send_numbers(part, device) for part in (rows, columns, pages, offsets))
        for layer, pool in zip(layers, kv.self_layers, strict=True):
            pool.keys[page, :, offset] = layer.keys.transpose(1, 2)[row, column]
            pool.values[page, :, offset] = layer.values.transpose(1, 2)[row, column]

    def _keep_tiles(self, layers: list[Any], requests: Sequence[Request], kv: KeyValues) -> None:
        """The tiles that are there: [rows, heads, max_tiles * tokens, width] to their pages."""
        device = layers[0].keys.device
        chosen = [(row, tile) for row, request in enumerate(requests) for tile in range(request.tiles)]
        rows, tiles = (send_numbers(part, device) for part in zip(*chosen, strict=True))
        pages = send_numbers([page for request in requests for page in request.tile_pages], device)
        for layer, pool in zip(layers, kv.cross_layers, strict=True):
            keys, values = (
                part.unflatten(2, (self._max_tiles, -1)).transpose(1, 2)[rows, tiles]
                for part in (layer.keys, layer.values)
            )
            pool.store(pages, keys, values)
