"""Lays out the tokens of several choices as a tree, so that one forward pass scores them all. Knows no torch."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

Edge = tuple[int, int]  # a row of logits, and a token that it predicts


@dataclass(frozen=True, slots=True)
class ChoiceTree:
    """The nodes in pre-order: each is a token of one or several choices, followed by all nodes that continue it.

    `depths` counts from 0; node n is continued by nodes n + 1 to `ends[n]` - 1. Row 0 of the logits is that of the
    prompt's last token, row n + 1 that of node n. `edges` are in the order of their rows; `paths` has each choice's
    edges, and `terminators` those that may end it.
    """

    tokens: list[int]
    depths: list[int]
    ends: list[int]
    edges: list[Edge]
    paths: list[list[int]]
    terminators: list[list[int]]

    @classmethod
    def of(cls, choices: Sequence[list[int]], ends: Collection[int]) -> ChoiceTree:
        """Return the tree of these choices' tokens; any token of `ends` may end one."""
        tokens, depths, rows = list[int](), list[int](), dict[Edge, int]()
        for choice in sorted(choices):  # which puts nodes in pre-order
            row = 0
            for depth, token in enumerate(choice):
                if (row, token) not in rows:
                    tokens.append(token)
                    depths.append(depth)
                    rows[row, token] = len(tokens)
                row = rows[row, token]
        paths = [_path(choice, rows) for choice in choices]
        last = [[(rows[path[-1]] if path else 0, end) for end in sorted(ends)] for path in paths]
        edges = sorted({*rows, *(edge for each in last for edge in each)})
        numbers = {edge: number for number, edge in enumerate(edges)}
        numbered = [[[numbers[edge] for edge in each] for each in every] for every in (paths, last)]
        return cls(tokens, depths, _subtree_ends(depths), edges, *numbered)

    def logprobs(self, edges: Sequence[float]) -> list[float]:
        """Return each choice's log-probability from those of the edges: all its tokens, and then an end."""
        pairs = zip(self.paths, self.terminators, strict=True)
        return [sum(edges[edge] for edge in path) + _logsumexp([edges[edge] for edge in ends]) for path, ends in pairs]


NO_TREE = ChoiceTree([], [], [], [], [], [])


def _path(choice: Sequence[int], rows: dict[Edge, int]) -> list[Edge]:
    path, row = list[Edge](), 0
    for token in choice:
        path.append((row, token))
        row = rows[row, token]
    return path


def _subtree_ends(depths: Sequence[int]) -> list[int]:
    """Return for each node the first one behind it that does not continue it."""
    ends, open_nodes = [len(depths)] * len(depths), list[int]()
    for node, depth in enumerate(depths):
        while open_nodes and depths[open_nodes[-1]] >= depth:
            ends[open_nodes.pop()] = node
        open_nodes.append(node)
    return ends


def _logsumexp(values: Sequence[float]) -> float:
    largest = max(values)
    return largest + math.log(sum(math.exp(value - largest) for value in values)) if largest > -math.inf else largest
