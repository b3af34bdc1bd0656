"""Encodes choices as trees of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from sightstream.pipeline.engine.slots.choice_tree import ChoiceTree

MAX_TREE_TOKENS = 2048  # tokens of one tree's choices, common ones counted each time; longer ones go on in another tree
CACHED = 256  # sets of choices: tasks ask the same ones of every image


class ChoiceEncoder:
    """Makes trees of choices as `tokenizer` encodes each as a text of its own. Control tokens stay plain text."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.trees = lru_cache(CACHED)(self._trees)

    def tokens(self, choice: str) -> list[int]:
        """Return the canonical tokens of a choice."""
        tokens: list[int] = self._tokenizer.encode(choice, add_special_tokens=False, split_special_tokens=True)
        return tokens

    def _trees(self, choices: tuple[str, ...], ends: frozenset[int]) -> tuple[ChoiceTree, ...]:
        """Return trees that have all the choices together, in order; any token of `ends` may end one."""
        encoded = [self.tokens(choice) for choice in choices]
        return tuple(ChoiceTree.of(part, ends) for part in _parts(encoded))


def _parts(choices: Sequence[list[int]]) -> Iterator[list[list[int]]]:
    part, size = list[list[int]](), 0
    for choice in choices:
        if part and size + len(choice) > MAX_TREE_TOKENS:
            yield part
            part, size = [], 0
        part.append(choice)
        size += len(choice)
    yield part
