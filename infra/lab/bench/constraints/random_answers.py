"""Writes answers with random tokens under the masks: what a model with nothing in mind would write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightstream.pipeline.constraints.compiler import ConstraintCompiler
from sightstream.pipeline.constraints.token_constraint import TokenConstraint, fill_masks
from sightstream.schemas.wire.response_format import ResponseFormat

# Random tokens hardly ever close a text or a list; these are preferred by so much that most answers end.
CLOSING = frozenset(b'"]},')
PREFERENCE = 6.0


@dataclass(frozen=True, slots=True)
class RandomAnswer:
    """What was written, and whether it had to end before the format did."""

    response_format: ResponseFormat
    data: bytes
    is_cut: bool
    tokens: int


class RandomWriter:
    """Writes many answers at once. The same seed writes the same answers."""

    def __init__(self, compiler: ConstraintCompiler, seed: int) -> None:
        self._compiler = compiler
        self._random = np.random.default_rng(seed)
        self._tokens = compiler.mask_words * 32
        self._preference = _preference(compiler, self._tokens)

    def write(self, formats: Sequence[ResponseFormat], max_tokens: int) -> list[RandomAnswer]:
        """Write one answer to each format, of at most so many tokens."""
        constraints = [self._compiler.start(each) for each in formats]
        written: list[list[int]] = [[] for _ in formats]
        open_ones = list(range(len(formats)))
        for _ in range(max_tokens):
            self._step([constraints[index] for index in open_ones], [written[index] for index in open_ones])
            open_ones = [index for index in open_ones if not constraints[index].must_end]
            if not open_ones:
                break
        return [
            RandomAnswer(each, b"".join(self._compiler.pieces(tokens)), not constraint.is_complete, len(tokens))
            for each, constraint, tokens in zip(formats, constraints, written, strict=True)
        ]

    def _step(self, constraints: list[TokenConstraint], written: list[list[int]]) -> None:
        masks = np.zeros((len(constraints), self._compiler.mask_words), np.int32)
        fill_masks(constraints, masks)
        for constraint, tokens, mask in zip(constraints, written, masks, strict=True):
            token = self._choose(np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little")))
            constraint.accept(token)
            tokens.append(token)

    def _choose(self, allowed: NDArray[np.int64]) -> int:
        """Pick by random logits: the largest of Gumbel noise and preference is a sample of the softmax."""
        noise = self._random.gumbel(size=len(allowed))
        return int(allowed[np.argmax(noise + self._preference[allowed])])


def _preference(compiler: ConstraintCompiler, tokens: int) -> NDArray[np.float64]:
    preference = np.zeros(tokens)
    for token in range(compiler.vocab_size):
        piece = compiler.pieces([token])[0]
        preference[token] = PREFERENCE if not piece or CLOSING & set(piece[:1]) else 0.0
    return preference
