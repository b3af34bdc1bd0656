"""Defines `TokenConstraint`: which tokens may follow in one answer, and the masks of many answers at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from llguidance import LLExecutor, LLMatcher


class TokenConstraint:
    """The state of one constrained answer. Not thread safe; the masks of different answers may be filled together."""

    def __init__(self, matcher: LLMatcher, ends: frozenset[int]) -> None:
        self._matcher = matcher
        self._ends = ends
        self._ended = False

    def accept(self, token: int) -> None:
        """Go on behind the token, which the mask allowed. Raises ValueError for any other token.

        An end token ends the answer: nothing may follow.
        """
        if self._ended:
            raise ValueError("the answer has ended")
        if token in self._ends and (self.must_end or self.is_complete):
            self._ended = True
        elif not self.has_failed and not self._matcher.consume_token(token):
            raise ValueError(f"token {token} does not fit the format")

    @property
    def is_complete(self) -> bool:
        """Whether the text so far fits the format, so that an end token may follow. It stays true behind one."""
        return bool(self._matcher.is_accepting())

    @property
    def must_end(self) -> bool:
        """Whether only an end token may follow: at the end of the format, or because no mask can be computed.

        An answer that must end and is not complete was cut: a step of it was over the limits of time and memory.
        """
        return self._ended or bool(self._matcher.is_stopped())

    @property
    def has_failed(self) -> bool:
        """Whether the limits ended this answer."""
        return bool(self._matcher.is_error())

    @property
    def matcher(self) -> LLMatcher:
        """The state inside llguidance, for the functions that fill masks."""
        return self._matcher


def fill_masks(constraints: Sequence[TokenConstraint], masks: NDArray[np.int32]) -> None:
    """Write the bits of the tokens that may follow: row i of `masks` is for constraint i, bit j of a row for token j.

    A row has ConstraintCompiler.mask_words words and rows may be more than constraints; the further ones are left as
    they are. Blocks for about 50 microseconds a row, on several threads, and lets other Python threads run.
    """
    if not masks.flags.c_contiguous or masks.dtype != np.int32:
        raise ValueError("masks must be contiguous rows of 32-bit integers")
    rows = [(constraint.matcher, index) for index, constraint in enumerate(constraints)]
    if len(rows) > len(masks):
        raise ValueError(f"{len(rows)} answers have {len(masks)} rows of masks")
    if len(rows) == 1:  # threads would only cost time
        rows[0][0].unsafe_compute_mask_ptr(masks.ctypes.data, masks.shape[1] * masks.itemsize)
    elif rows:
        _executor().unsafe_compute_mask_ptr(rows, masks.ctypes.data, masks.shape[1] * masks.itemsize, len(masks))


@cache
def _executor() -> LLExecutor:
    """Return the threads of this process that fill masks."""
    from llguidance import LLExecutor

    return LLExecutor()
