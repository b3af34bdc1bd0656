"""What a prefill has to know about each prompt, in one block of numbers: one copy to the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from sightstream.pipeline.engine.slots.kv_cache import PAGE_SIZE, pages_for
from sightstream.pipeline.engine.slots.request import Request

_FIXED = 3


@dataclass(frozen=True, slots=True)
class PrefillInputs:
    """`packed` [rows, 3 + max_tiles + pages + tokens], int64: start, image token, tiles, pages of tiles and of text,
    and the prompt, from `start` to the end: padding on the right would change the shorter prompts' answers.
    """

    packed: torch.Tensor
    max_tiles: int
    tokens_each: int

    @classmethod
    def of(cls, requests: Sequence[Request], rows: int, tokens: int, max_tiles: int, image_token: int) -> PrefillInputs:
        """Rows beyond the requests are idle: one token that sees one tile, and pages that are nobody's."""
        table = cls.idle(rows, tokens, max_tiles)
        for row, request in enumerate(requests):
            start = tokens - len(request.prompt)
            pages = request.pages[: pages_for(tokens)]
            line = [start, start + request.prompt.index(image_token), request.tiles, *request.tile_pages]
            line += [0] * (_FIXED + max_tiles - len(line)) + pages + [0] * (pages_for(tokens) - len(pages) + start)
            table.packed[row] = torch.tensor(line + request.prompt)
        return table

    @classmethod
    def idle(cls, rows: int, tokens: int, max_tiles: int) -> PrefillInputs:
        packed = torch.zeros((rows, _FIXED + max_tiles + pages_for(tokens) + tokens), dtype=torch.long)
        packed[:, :_FIXED] = torch.tensor([tokens - 1, tokens - 1, 1])
        return cls(packed, max_tiles, tokens)

    @property
    def tokens(self) -> torch.Tensor:
        """[rows, tokens]."""
        return self.packed[:, -self.tokens_each :]

    @property
    def token_mask(self) -> torch.Tensor:
        """[rows, tokens]: what is no padding."""
        return self._places >= self.packed[:, :1]

    @property
    def positions(self) -> torch.Tensor:
        """[rows, tokens], counted from the prompt's start; 0 for padding."""
        return (self._places - self.packed[:, :1]).clamp(min=0)

    @property
    def text_mask(self) -> torch.Tensor:
        """[rows, 1, tokens, tokens]: what stands before, and oneself, for what sees nothing has no softmax."""
        before = self._places[:, None] >= self._places[None, :]
        oneself = self._places[:, None] == self._places[None, :]
        return ((before & self.token_mask[:, None, :]) | oneself)[:, None]

    @property
    def image_mask(self) -> torch.Tensor:
        """[rows, tokens, 1, max_tiles]: the tiles that are there, from the image token on."""
        tile = torch.arange(self.max_tiles, device=self.packed.device)
        seeing = (self._places >= self.packed[:, 1:2])[:, :, None]
        return (seeing & (tile < self.packed[:, 2:3])[:, None, :])[:, :, None, :].long()

    @property
    def tile_pages(self) -> torch.Tensor:
        """[rows, max_tiles]; page 0 for a tile that is not there."""
        return self.packed[:, _FIXED : _FIXED + self.max_tiles]

    @property
    def token_pages(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The page of each token and its place there, [rows, tokens] each; page 0 for padding."""
        start = _FIXED + self.max_tiles
        pages = self.packed[:, start : start + pages_for(self.tokens_each)]
        pages = pages.gather(1, self.positions // PAGE_SIZE)
        return torch.where(self.token_mask, pages, 0), self.positions % PAGE_SIZE

    @property
    def _places(self) -> torch.Tensor:
        return torch.arange(self.tokens_each, device=self.packed.device)
