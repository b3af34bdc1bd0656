"""Cuts the first answers of a run short, as in an engine that has run for long. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterator

GOLDEN = (5**0.5 - 1) / 2  # its multiples, modulo 1, are spread evenly however many there are


def staggered(tokens: Iterator[int], count: int) -> Iterator[int]:
    """Yield the lengths, the first `count` of them cut to parts that are spread evenly.

    Otherwise all answers of one length begin and end together for ever, and a window shows whichever half of their life
    it catches.
    """
    for index in range(count):
        yield max(1, round(next(tokens) * ((index + 1) * GOLDEN % 1)))
    yield from tokens
