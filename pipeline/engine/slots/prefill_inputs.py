"""The prefill's inputs for a group of prompts, in one block of numbers: one copy to the device per group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from sightstream.pipeline.engine.slots.block_allocator import pages_for
from sightstream.pipeline.engine.slots.choice_tree import NO_TREE
from sightstream.pipeline.engine.slots.request import Request

_FIXED = 4


@dataclass(frozen=True, slots=True)
class PrefillInputs:
    """`packed` [rows, 4 + max_tiles + pages + 3 * tokens], int64. Each row is laid out as

        | start | image token | tiles | computed | max_tiles tile pages | pages of text | tokens | positions | ends |

    where `start` and `image token` are indices of tokens, `computed` counts tiles, and unused pages are 0. The tokens
    are padding, then the prompt from `start`, then the tree of choices where they are scored. Prompts are padded on the
    left: padding on the right would change the shorter prompts' answers. A token is seen by those behind it that lie
    before its `end`: by all of them, but of a tree's only by those that continue it.
    """

    packed: torch.Tensor
    max_tiles: int
    tokens_each: int

    @classmethod
    def of(cls, requests: Sequence[Request], rows: int, tokens: int, max_tiles: int, image_token: int) -> PrefillInputs:
        """Return the requests' inputs. Rows beyond them are idle: one token that attends to one tile, in page 0."""
        inputs = cls.idle(rows, tokens, max_tiles)
        for row, request in enumerate(requests):
            start = tokens - request.prefill_tokens
            pages = request.pages[: pages_for(tokens)]
            image, computed = start + request.prompt.index(image_token), len(request.tile_pages)
            line = [start, image, request.tiles, computed, *request.tile_pages]
            line += [0] * (_FIXED + max_tiles - len(line)) + pages + [0] * (pages_for(tokens) - len(pages))
            inputs.packed[row] = torch.tensor(line + _tokens_of(request, start, tokens))
        return inputs

    @classmethod
    def idle(cls, rows: int, tokens: int, max_tiles: int) -> PrefillInputs:
        packed = torch.zeros((rows, _FIXED + max_tiles + pages_for(tokens) + 3 * tokens), dtype=torch.long)
        packed[:, :_FIXED] = torch.tensor([tokens - 1, tokens - 1, 1, 1])
        packed[:, -tokens:] = tokens
        return cls(packed, max_tiles, tokens)

    @property
    def tokens(self) -> torch.Tensor:
        """[rows, tokens]."""
        return self._of_tokens(0)

    @property
    def token_mask(self) -> torch.Tensor:
        """[rows, tokens]: True for tokens of the prompt, False for padding."""
        return self._indices >= self.packed[:, :1]

    @property
    def positions(self) -> torch.Tensor:
        """[rows, tokens], counted from the prompt's start; 0 for padding."""
        return self._of_tokens(1)

    @property
    def text_mask(self) -> torch.Tensor:
        """[rows, 1, tokens, tokens]: the causal mask, in which the branches of a tree don't see each other.

        Every token also attends to itself, so that rows of pure padding do not give NaN in softmax.
        """
        before = self._indices[:, None] >= self._indices[None, :]
        itself = self._indices[:, None] == self._indices[None, :]
        continued = self._indices[:, None] < self._of_tokens(2)[:, None, :]
        return ((before & continued & self.token_mask[:, None, :]) | itself)[:, None]

    @property
    def image_mask(self) -> torch.Tensor:
        """[rows, tokens, 1, max_tiles]: from the image token on, tokens attend to the tiles that the image has."""
        tile = torch.arange(self.max_tiles, device=self.packed.device)
        from_image_on = (self._indices >= self.packed[:, 1:2])[:, :, None]
        return (from_image_on & (tile < self.packed[:, 2:3])[:, None, :])[:, :, None, :].long()

    def image_lengths(self, tile_tokens: int) -> torch.Tensor:
        """[rows, tokens], int32: of how many tokens of the image each token sees the first ones.

        Tokens before the image attend to all tiles that were computed, also to those that are not there, as in the
        stock model. Padding sees one token, so that its softmax is a number.
        """
        tiles = self.image_mask[:, :, 0].sum(dim=-1)
        lengths = torch.where(tiles > 0, tiles, self.packed[:, 3:4]) * tile_tokens
        return torch.where(self.token_mask, lengths, 1).to(torch.int32)

    @property
    def sees_image(self) -> torch.Tensor:
        """[rows, tokens]: whether a token stands behind the image's."""
        return self.image_mask.any(dim=-1)[:, :, 0]

    @property
    def tile_pages(self) -> torch.Tensor:
        """[rows, max_tiles]; page 0 for a tile that was not computed."""
        return self.packed[:, _FIXED : _FIXED + self.max_tiles]

    @property
    def pages_of_tokens(self) -> torch.Tensor:
        """[rows * tokens, pages]: the pages of each token's prompt; page 0 for padding."""
        start = _FIXED + self.max_tiles
        pages = self.packed[:, None, start : start + pages_for(self.tokens_each)]
        return torch.where(self.token_mask[:, :, None], pages, 0).flatten(0, 1)

    def _of_tokens(self, part: int) -> torch.Tensor:
        """Return tokens (0), positions (1) or ends (2)."""
        return self.packed[:, -3 * self.tokens_each :].view(len(self.packed), 3, self.tokens_each)[:, part]

    @property
    def _indices(self) -> torch.Tensor:
        return torch.arange(self.tokens_each, device=self.packed.device)


def _tokens_of(request: Request, start: int, tokens: int) -> list[int]:
    """Return a row's tokens, positions and ends."""
    prompt, tree = request.prompt, request.tree or NO_TREE
    first = start + len(prompt)
    return [
        *([0] * start + prompt + tree.tokens),
        *[0] * start,
        *range(len(prompt)),
        *(len(prompt) + depth for depth in tree.depths),
        *[tokens] * first,
        *(first + end for end in tree.ends),
    ]
