"""Scores the edges of choice trees from the hidden states of a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from sightstream.pipeline.engine.slots.choice_tree import ChoiceTree
from sightstream.pipeline.engine.slots.transfer import copy_numbers

ROWS_AT_ONCE = 256  # of logits: 131 MB in float32, with a vocabulary of 128,000


def score_edges(
    head: Callable[[torch.Tensor], torch.Tensor], hidden: torch.Tensor, trees: Sequence[ChoiceTree | None]
) -> torch.Tensor:
    """Return the log-probabilities of all edges of the rows that have a tree, one row after the other, in float32.

    `hidden` [rows, tokens, width] ends with the tree's tokens in each of these rows; `head` makes logits of it.
    """
    scored = [_score(head, hidden[row], tree) for row, tree in enumerate(trees) if tree is not None]
    return torch.cat(scored) if scored else hidden.new_empty(0, dtype=torch.float32)


def _score(head: Callable[[torch.Tensor], torch.Tensor], hidden: torch.Tensor, tree: ChoiceTree) -> torch.Tensor:
    states = hidden[-1 - len(tree.tokens) :]
    parts = []
    for first in range(0, len(states), ROWS_AT_ONCE):
        logits = head(states[first : first + ROWS_AT_ONCE]).float()
        edges = [(row - first, token) for row, token in tree.edges if first <= row < first + ROWS_AT_ONCE]
        rows, tokens = copy_numbers([number for edge in edges for number in edge], hidden.device).view(-1, 2).T
        parts.append(logits[rows, tokens] - logits.logsumexp(dim=-1)[rows])
    return torch.cat(parts)
