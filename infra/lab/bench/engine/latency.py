"""What one user sees: alone, and among ten who come at once."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from sightstream.infra.lab.bench.engine.figures import Figure, Measured, percentile

if TYPE_CHECKING:
    from sightstream.infra.lab.bench.engine.bench import Bench
    from sightstream.infra.lab.bench.engine.options import Allowance


def single(bench: Bench, allowance: Allowance) -> Measured:
    """One request at a time, on an otherwise idle engine."""
    tokens = bench.sizes.tokens
    first: list[float] = []
    whole: list[float] = []
    for _ in range(bench.sizes.single_requests):
        if whole and allowance.over:
            break
        first += bench.ask(1, 1).latencies
        whole += bench.ask(1, tokens).latencies
    how = f"one request alone, {bench.sizes.tiles} tiles, from JPEG bytes, greedy, median of {len(whole)}"
    each = (median(whole) - median(first)) / max(1, tokens - 1)
    figures = (
        Figure("total_s", median(whole), "s", f"{tokens} tokens; {how}"),
        Figure("first_token_s", median(first), "s", f"an answer of 1 token; {how}"),
        Figure("token_s", each, "s", f"(total_s - first_token_s) / {max(1, tokens - 1)}"),
    )
    short = None if len(whole) == bench.sizes.single_requests else f"{len(whole)} requests"
    return Measured(figures, {"first_token_s": first, "total_s": whole}, short)


def concurrent(bench: Bench, allowance: Allowance) -> Measured:
    """The seed's load test: ten requests that come at once, a few times over."""
    asked, tokens = bench.sizes.concurrent_requests, bench.sizes.tokens
    rounds: list[list[float]] = []
    for _ in range(bench.sizes.concurrent_rounds):
        if rounds and allowance.over:
            break
        rounds.append(bench.ask(asked, tokens).latencies)
    latencies = [latency for each in rounds for latency in each]
    how = (
        f"{asked} requests that come at once to an idle engine, {len(rounds)} times; {bench.sizes.tiles} tiles, "
        f"{tokens} tokens each, from JPEG bytes to the answer"
    )
    figures = (
        Figure("concurrent_p50_s", percentile(latencies, 0.5), "s", how),
        Figure("concurrent_p95_s", percentile(latencies, 0.95), "s", how),
    )
    short = None if len(rounds) == bench.sizes.concurrent_rounds else f"{len(rounds)} rounds"
    return Measured(figures, {"latencies_s": rounds}, short)
