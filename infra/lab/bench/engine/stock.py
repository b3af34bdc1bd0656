"""Finds the best batch of stock generate(): larger ones until memory or time runs out."""

from __future__ import annotations

from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import torch

from sightstream.infra.lab.bench.engine.figures import Figure, Measured
from sightstream.infra.lab.bench.engine.stock_loop import Run, StockLoop

if TYPE_CHECKING:
    from sightstream.infra.lab.bench.engine.bench import Bench
    from sightstream.infra.lab.bench.engine.options import Allowance


def best_batch(bench: Bench, allowance: Allowance) -> Measured:
    """Batches upwards from the smallest wanted; below it when not even that fits."""
    loop, files = StockLoop(bench.stock, bench.question), bench.files(bench.sizes.tiles)
    runs: list[Run] = []
    full_at: int | None = None
    waiting = list(bench.sizes.stock_batches)
    while waiting and not (runs and _too_long(runs, waiting[0], allowance)):
        batch = waiting.pop(0)
        bench.say(f"stock generate(), batch {batch}")
        try:
            runs.append(loop.run(list(islice(cycle(files), batch)), bench.sizes.stock_tokens, allowance))
        except torch.OutOfMemoryError:
            full_at = batch
            waiting = [] if runs else [batch // 2] * (batch > 1)
        _empty_cache(bench.device)
    if not runs:
        return Measured((Figure("images_per_s", None, "1/s", f"not even batch {full_at} fits"),))
    return _measured(bench, runs, full_at, waiting)


def _too_long(runs: list[Run], batch: int, allowance: Allowance) -> bool:
    """A larger batch takes at least as long as the one before."""
    return runs[-1].seconds * batch / runs[-1].images > allowance.left_s


def _measured(bench: Bench, runs: list[Run], full_at: int | None, waiting: list[int]) -> Measured:
    tokens = bench.sizes.tokens
    table: list[dict[str, Any]] = [
        {
            "batch": run.images,
            "images_per_s": run.images / run.seconds_for(tokens),
            "first_token_s": run.first_token_s,
            "step_s": run.token_s,
            "tokens": run.tokens,
        }
        for run in runs
    ]
    best = max(table, key=lambda row: row["images_per_s"])
    how = f"full weights, greedy, batch {best['batch']}, {bench.sizes.tiles} tiles, {tokens} tokens, from JPEG bytes"
    if best["tokens"] != tokens:
        how += f"; ran for {best['tokens']} tokens, the rest extrapolated at the pace of those"
    if full_at is not None:
        how += f"; batch {full_at} runs out of memory"
    figures = (
        Figure("images_per_s", best["images_per_s"], "1/s", how),
        Figure("batch", best["batch"], "images", "the best of those tried"),
        Figure("step_s", best["step_s"], "s", "mean of the tokens after the first"),
    )
    short = f"no time for batches {waiting}" if waiting else None
    return Measured(figures, {"batches": table, "out_of_memory_at": full_at}, short)


def _empty_cache(device: str) -> None:
    if device == "cuda":
        torch.cuda.empty_cache()
