"""From JPEG bytes to answers, with the engine full all the time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict
from itertools import repeat
from math import ceil
from typing import TYPE_CHECKING

import torch

from infra.bench.engine.figures import Figure, Measured
from infra.bench.engine.saturate import Saturated, Saturator
from infra.bench.engine.window import Rates, steady_rates
from infra.errors import CommandError

if TYPE_CHECKING:
    from infra.bench.engine.bench import Bench
    from infra.bench.engine.options import Allowance
    from pipeline.engine.protocol import Engine

TILES_TRIED = (1, 2, 4)


def fixed(bench: Bench, allowance: Allowance) -> Measured:
    """Every answer has the same length."""
    tokens = bench.sizes.tokens
    return _steady(bench, bench.engine, repeat(tokens), allowance, f"{tokens} tokens each")


def mixed(bench: Bench, allowance: Allowance) -> Measured:
    """Lengths drawn evenly between two."""
    low, high = bench.sizes.shortest, bench.sizes.longest
    return _steady(bench, bench.engine, lengths(low, high), allowance, f"{low} to {high} tokens, drawn evenly")


def hosted(bench: Bench, allowance: Allowance) -> Measured:
    """As `fixed`, but the engine lives in a child process, as in a worker."""
    tokens = bench.sizes.tokens
    return _steady(bench, bench.host, repeat(tokens), allowance, f"{tokens} tokens each, engine in a child process")


def by_tiles(bench: Bench, allowance: Allowance) -> Measured:
    """As `fixed`, for images of different sizes; a third of the time each."""
    figures: list[Figure] = []
    detail: dict[str, object] = {}
    tokens, short = bench.sizes.tokens, None
    for at, tiles in enumerate(TILES_TRIED):
        share = type(allowance)(bench.clock() + allowance.left_s / (len(TILES_TRIED) - at), bench.clock)
        found = _steady(bench, bench.engine, repeat(tokens), share, f"{tokens} tokens each", tiles)
        figures += [
            Figure(f"{figure.name}_{tiles}_tiles", figure.value, figure.unit, figure.method) for figure in found.figures
        ]
        detail[f"{tiles}_tiles"] = found.detail
        short = found.cut_short or short
    return Measured(tuple(figures), detail, short)


def lengths(shortest: int, longest: int, seed: int = 0) -> Iterator[int]:
    """Evenly drawn: of every 16, one from each sixteenth of the range, so that a window's mean is the range's."""
    rng = random.Random(seed)  # noqa: S311 - a workload, not a secret
    width = (longest - shortest + 1) / 16
    while True:
        block = [shortest + int((part + rng.random()) * width) for part in range(16)]
        rng.shuffle(block)
        yield from block


def in_hand(capacity: int) -> int:
    """Jobs to keep in an engine's hands: what it works on, and some that wait for a place."""
    return capacity + max(2, capacity // 4)


def _steady(
    bench: Bench, engine: Engine, tokens: Iterator[int], allowance: Allowance, what: str, tiles: int | None = None
) -> Measured:
    capacity = engine.capacity()
    warm, window = ceil(bench.sizes.warm_rounds * capacity), ceil(bench.sizes.window_rounds * capacity)
    feed = bench.feed(tokens, tiles)
    saturator = Saturator(engine, feed, in_hand(capacity), bench.clock, bench.steps, bench.say)
    seen = saturator.run(warm + window, allowance)
    rates = steady_rates(seen.ended, warm, window)
    if rates is None:
        raise CommandError(
            f"no window: {len(seen.ended)} answers in the time allowed, {warm} are warm-up; give the part more time"
        )
    short = f"{rates.answers} of {window} answers" if rates.answers < window else None
    how = _method(bench, what, tiles or bench.sizes.tiles, capacity, warm, rates, seen)
    detail = asdict(rates) | {"slots": capacity, "prompt_tokens": seen.prompt_tokens, "fewest_in_hand": seen.fewest}
    return Measured(_figures(bench, rates, how, hosted=engine is not bench.__dict__.get("engine")), detail, short)


def _method(bench: Bench, what: str, tiles: int, capacity: int, warm: int, rates: Rates, seen: Saturated) -> str:
    settings = bench.options.settings
    full = "" if seen.fewest >= capacity else f"; NOT FULL: at one time {seen.fewest} in hand"
    return (
        f"from JPEG bytes (decoded in {bench.sizes.decoders} processes), {tiles} tiles, {what}, greedy; "
        f"{settings.kind}, quantization {settings.quantization}, cross KV {settings.cross_kv}, {capacity} slots, "
        f"{in_hand(capacity)} jobs kept in hand; window opens when {warm} answers have ended and closes "
        f"{rates.answers} answers later{full}"
    )


def _figures(bench: Bench, rates: Rates, how: str, *, hosted: bool) -> tuple[Figure, ...]:
    tokens = bench.sizes.tokens
    steps = (
        Figure("steps_per_s", None, "1/s", "the steps of an engine in another process are not seen")
        if hosted
        else Figure("steps_per_s", rates.steps_per_s, "1/s", "the engine's own count, or its signs of progress")
    )
    return (
        Figure("images_per_s", rates.answers_per_s, "1/s", how),
        Figure("tokens_per_s", rates.tokens_per_s, "1/s", "new tokens of the answers that ended in the window"),
        Figure("tokens_an_answer", rates.tokens / rates.answers, "tokens", "mean of the answers in the window"),
        Figure("images_per_s_from_tokens", rates.tokens_per_s / tokens, "1/s", f"tokens_per_s / {tokens}, a check"),
        steps,
        *_peak(bench, hosted=hosted),
    )


def _peak(bench: Bench, *, hosted: bool) -> list[Figure]:
    if bench.device != "cuda" or hosted:
        return []
    how = "most that this process ever held on the device: weights, graphs, keys and values, spare"
    return [Figure("device_peak_bytes", torch.cuda.max_memory_reserved(), "B", how)]
