"""From JPEG bytes to answers, with the engine full all the time."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import repeat
from math import ceil
from typing import TYPE_CHECKING

import torch

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.engine.feed import Asks
from sightstream.infra.lab.bench.engine.figures import Figure, Measured
from sightstream.infra.lab.bench.engine.options import Allowance
from sightstream.infra.lab.bench.engine.saturate import Saturated, Saturator, in_hand
from sightstream.infra.lab.bench.engine.stagger import staggered
from sightstream.infra.lab.bench.engine.window import Rates, steady_rates

if TYPE_CHECKING:
    from sightstream.infra.lab.bench.engine.bench import Bench
    from sightstream.pipeline.engine.protocol import Engine

TILES_TRIED = (1, 2, 4)


@dataclass(frozen=True, slots=True)
class Workload:
    """What is asked of `engine`: answers of `tokens` tokens, `what` in words, about images of `tiles` tiles."""

    engine: Engine
    tokens: Iterator[int]
    what: str
    tiles: int
    hosted: bool = False
    asks: Asks = Asks()  # noqa: RUF009 - frozen


def fixed(bench: Bench, allowance: Allowance) -> Measured:
    """Every answer has the same length."""
    return steady(bench, fixed_workload(bench, bench.engine, bench.sizes.tiles), allowance)


def mixed(bench: Bench, allowance: Allowance) -> Measured:
    """Lengths spread evenly between two."""
    low, high = bench.sizes.shortest, bench.sizes.longest
    what = f"{low} to {high} tokens, spread evenly"
    return steady(bench, Workload(bench.engine, lengths(low, high), what, bench.sizes.tiles), allowance)


def hosted(bench: Bench, allowance: Allowance) -> Measured:
    """As `fixed`, but the engine lives in a child process, as in a worker."""
    workload = replace(fixed_workload(bench, bench.host, bench.sizes.tiles), hosted=True)
    return steady(bench, workload, allowance)


def by_tiles(bench: Bench, allowance: Allowance) -> Measured:
    """As `fixed`, for images of different sizes, with the time shared among them."""
    figures: list[Figure] = []
    detail: dict[str, object] = {}
    short = None
    for at, tiles in enumerate(TILES_TRIED):
        allowed = Allowance(bench.clock() + allowance.left_s / (len(TILES_TRIED) - at), bench.clock)
        found = steady(bench, fixed_workload(bench, bench.engine, tiles), allowed)
        figures += [replace(figure, name=f"{figure.name}_{tiles}_tiles") for figure in found.figures]
        detail[f"{tiles}_tiles"] = found.detail
        short = found.cut_short or short
    return Measured(tuple(figures), detail, short)


def fixed_workload(bench: Bench, engine: Engine, tiles: int) -> Workload:
    """Answers of one length."""
    tokens = bench.sizes.tokens
    return Workload(engine, repeat(tokens), f"{tokens} tokens each", tiles)


def lengths(shortest: int, longest: int, seed: int = 0) -> Iterator[int]:
    """Evenly drawn: of every 16, one from each sixteenth of the range, so that a window's mean is the range's."""
    rng = random.Random(seed)  # noqa: S311 - a workload, not a secret
    width = (longest - shortest + 1) / 16
    while True:
        block = [shortest + int((part + rng.random()) * width) for part in range(16)]
        rng.shuffle(block)
        yield from block


def window_of(bench: Bench, engine: Engine) -> tuple[int, int]:
    """Return how many answers are warm-up, and how many are counted after that."""
    capacity = engine.capacity()
    return ceil(bench.sizes.warm_rounds * capacity), ceil(bench.sizes.window_rounds * capacity)


def steady(
    bench: Bench, workload: Workload, allowance: Allowance, watch: Callable[[int], None] = lambda _: None
) -> Measured:
    """Rates of a window that opens when the engine has been full for a while. Raises CommandError without one.

    `watch` is told how many answers have ended, again and again.
    """
    capacity = workload.engine.capacity()
    warm, window = window_of(bench, workload.engine)
    feed = bench.feed(staggered(workload.tokens, capacity), workload.tiles, workload.asks)
    saturator = Saturator(workload.engine, feed, bench.clock, bench.steps, bench.say, watch)
    seen = saturator.run(warm + window, allowance)
    rates = steady_rates(seen.ended, warm, window)
    if rates is None:
        raise CommandError(
            f"no window: {len(seen.ended)} answers in the time allowed, {warm} are warm-up; give the part more time"
        )
    short = f"{rates.answers} of {window} answers" if rates.answers < window else None
    how = _method(bench, workload, warm, rates, seen)
    left = workload.engine.capacity()
    if left < capacity:
        how += f"; OUT OF MEMORY on the way: begun with {capacity} slots"
    detail = asdict(rates) | {"slots": left, "slots_at_first": capacity, "starved_share": seen.starved_fraction}
    return Measured(_figures(bench, workload, rates, how), detail, short)


def _method(bench: Bench, workload: Workload, warm: int, rates: Rates, seen: Saturated) -> str:
    settings, capacity = bench.options.settings, workload.engine.capacity()
    where = ", in a child process" if workload.hosted else ""
    full = "" if seen.starved_fraction < 0.01 else f"; NOT FULL in {seen.starved_fraction:.0%} of the time"
    return (
        f"from JPEG bytes (decoded in {bench.sizes.decoders} processes), {workload.tiles} tiles, {workload.what}, "
        f"greedy; {settings.kind}{where}, quantization {settings.quantization}, cross KV {settings.cross_kv}, "
        f"{capacity} slots, {in_hand(capacity)} jobs kept in hand; the first {capacity} answers are cut to evenly "
        f"spread lengths, as in an engine that has run for long; window opens when {warm} have ended and closes "
        f"{rates.answers} answers later{full}"
    )


def _figures(bench: Bench, workload: Workload, rates: Rates, how: str) -> tuple[Figure, ...]:
    tokens = bench.sizes.tokens
    return (
        Figure("images_per_s", rates.answers_per_s, "1/s", how),
        Figure("tokens_per_s", rates.tokens_per_s, "1/s", "new tokens of the answers that ended in the window"),
        Figure("tokens_an_answer", rates.tokens / rates.answers, "tokens", "mean of the answers in the window"),
        Figure("images_per_s_from_tokens", rates.tokens_per_s / tokens, "1/s", f"tokens_per_s / {tokens}, a check"),
        Figure("slots", workload.engine.capacity(), "", "answers that the engine writes at once"),
        *([] if workload.hosted else [*_steps(rates), *_peak(bench)]),
    )


def _steps(rates: Rates) -> list[Figure]:
    rows = Figure("tokens_a_step", rates.tokens / rates.steps if rates.steps else None, "tokens", "slots in use")
    return [Figure("steps_per_s", rates.steps_per_s, "1/s", "the engine's own count, or its signs of progress"), rows]


def _peak(bench: Bench) -> list[Figure]:
    if bench.device != "cuda":
        return []
    how = "most that this process ever held on the device: weights, graphs, keys and values, spare"
    return [Figure("device_peak_bytes", torch.cuda.max_memory_reserved(), "B", how)]
