"""What a prefill has to know about each prompt, in one block of numbers: one copy to the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from sightstream.pipeline.engine.slots.key_values import TOKENS_A_PAGE, pages_for
from sightstream.pipeline.engine.slots.request import Request

_FIXED = 3


@dataclass(frozen=True, slots=True)
class PromptTable:
    """`numbers` [rows, 3 + max_tiles + pages + tokens], int64: start, image token, tiles, pages of tiles and of text,
    and the prompt, from `start` to the end: padding on the right would change the shorter prompts' answers.
    """

    numbers: torch.Tensor
    max_tiles: int
    tokens_each: int

    @classmethod
    def of(cls, requests: Sequence[Request], rows: int, tokens: int, max_tiles: int, image_token: int) -> PromptTable:
        """Rows beyond the requests are idle: one token that sees one tile, and pages that are nobody's."""
        table = cls.idle(rows, tokens, max_tiles)
        for row, request in enumerate(requests):
            start = tokens - len(request.prompt)
            pages = request.pages[: pages_for(tokens)]
            line = [start, start + request.prompt.index(image_token), request.tiles, *request.tile_pages]
            line += [0] * (_FIXED + max_tiles - len(line)) + pages + [0] * (pages_for(tokens) - len(pages) + start)
            table.numbers[row] = torch.tensor(line + request.prompt)
        return table

    @classmethod
    def idle(cls, rows: int, tokens: int, max_tiles: int) -> PromptTable:
        numbers = torch.zeros((rows, _FIXED + max_tiles + pages_for(tokens) + tokens), dtype=torch.long)
        numbers[:, :_FIXED] = torch.tensor([tokens - 1, tokens - 1, 1])
        return cls(numbers, max_tiles, tokens)

    @property
    def tokens(self) -> torch.Tensor:
        """[rows, tokens]."""
        return self.numbers[:, -self.tokens_each :]

    @property
    def there(self) -> torch.Tensor:
        """[rows, tokens]: what is no padding."""
        return self._places >= self.numbers[:, :1]

    @property
    def positions(self) -> torch.Tensor:
        """[rows, tokens], counted from the prompt's start; 0 for padding."""
        return (self._places - self.numbers[:, :1]).clamp(min=0)

    @property
    def sees_text(self) -> torch.Tensor:
        """[rows, 1, tokens, tokens]: what stands before, and oneself, for what sees nothing has no softmax."""
        before = self._places[:, None] >= self._places[None, :]
        oneself = self._places[:, None] == self._places[None, :]
        return ((before & self.there[:, None, :]) | oneself)[:, None]

    @property
    def sees_image(self) -> torch.Tensor:
        """[rows, tokens, 1, max_tiles]: the tiles that are there, from the image token on."""
        tile = torch.arange(self.max_tiles, device=self.numbers.device)
        seeing = (self._places >= self.numbers[:, 1:2])[:, :, None]
        return (seeing & (tile < self.numbers[:, 2:3])[:, None, :])[:, :, None, :].long()

    @property
    def tile_pages(self) -> torch.Tensor:
        """[rows, max_tiles]; page 0 for a tile that is not there."""
        return self.numbers[:, _FIXED : _FIXED + self.max_tiles]

    @property
    def token_pages(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The page of each token and its place there, [rows, tokens] each; page 0 for padding."""
        start = _FIXED + self.max_tiles
        pages = self.numbers[:, start : start + pages_for(self.tokens_each)]
        pages = pages.gather(1, self.positions // TOKENS_A_PAGE)
        return torch.where(self.there, pages, 0), self.positions % TOKENS_A_PAGE

    @property
    def _places(self) -> torch.Tensor:
        return torch.arange(self.tokens_each, device=self.numbers.device)
