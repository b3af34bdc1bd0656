"""Turns the probabilities of an answer's tokens into those of its values."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from sightstream.pipeline.constraints.json_spans import find_spans
from sightstream.schemas.wire.question_answer import NO_CONFIDENCE, Confidence


def path_confidence(text: str, pieces: Sequence[bytes], logprobs: Sequence[float]) -> Confidence:
    """Return the probability of the whole JSON text and of each plain value in it, given what stands before.

    `pieces` are the bytes of the tokens, an end token's being empty, and `logprobs` the natural logarithms of their
    probabilities under the mask, at temperature 1. A value's probability is the product over the tokens that it is
    written in, up to the one that ends it. Where the pieces are not the text, or a logarithm is not a number, nothing
    is known.
    """
    offset = _offset(text, pieces)
    if offset is None or len(pieces) != len(logprobs) or any(map(math.isnan, logprobs)):
        return NO_CONFIDENCE
    starts = [start - offset for start in accumulate(map(len, pieces), initial=0)]
    fields = {
        span.pointer: _probability(logprobs[_first(starts, span.start) : _behind(starts, span.end)])
        for span in find_spans(text.encode())
    }
    return Confidence(kind="path", value=_probability(logprobs), fields=fields)


def _offset(text: str, pieces: Sequence[bytes]) -> int | None:
    """Return the bytes before the text, which may only be spaces, as those behind it; None when it is not there."""
    written = b"".join(pieces)
    if not text:
        return None
    try:
        before, found, behind = written.partition(text.encode())
    except UnicodeEncodeError:
        return None
    return len(before) if found and not before.strip() and not behind.strip() else None


def _first(starts: Sequence[int], position: int) -> int:
    """Return the index of the piece that holds the byte: the last one that starts there or before it."""
    return max(0, bisect_right(starts, position) - 1)


def _behind(starts: Sequence[int], end: int) -> int:
    """Return the index behind the piece that holds the last byte. At the end of the text that is the end token."""
    return _first(starts, end - 1) + 1


def _probability(logprobs: Sequence[float]) -> float:
    return math.exp(min(0.0, math.fsum(logprobs)))
