"""The common tutorial set-up: NF4 through bitsandbytes, batch 1, stock generate(), one image after another."""

from __future__ import annotations

from itertools import accumulate, cycle, islice
from statistics import median
from typing import TYPE_CHECKING

from sightstream.infra.lab.bench.engine.figures import Figure, Measured, percentile
from sightstream.infra.lab.bench.engine.options import Allowance
from sightstream.infra.lab.bench.engine.stock_loop import Run, StockLoop

if TYPE_CHECKING:
    from sightstream.infra.lab.bench.engine.bench import Bench

SET_UP = (
    "NF4 weights by BitsAndBytesConfig(load_in_4bit, nf4, bfloat16 compute, no skip list of one's own), stock "
    "processor and generate(), greedy, batch 1, one image after another, from JPEG bytes"
)


def one_by_one(bench: Bench, allowance: Allowance) -> Measured:
    """Latency and throughput; an image cut short by the clock is extrapolated at its own pace."""
    loop, files = _loop(bench)
    loop.run(files[:1], 4, allowance)
    runs: list[Run] = []
    for data in files[: bench.sizes.seed_images]:
        if runs and allowance.over:
            break
        bench.say(f"the tutorial's loop: image {len(runs) + 1} of {bench.sizes.seed_images}")
        runs.append(loop.run([data], bench.sizes.seed_tokens, allowance))
    return _measured(bench, runs)


def _measured(bench: Bench, runs: list[Run]) -> Measured:
    tokens, asked = bench.sizes.tokens, bench.sizes.concurrent_requests
    took = [run.seconds_for(tokens) for run in runs]
    exact = all(run.tokens == tokens for run in runs)
    how = f"{SET_UP}; {len(runs)} images of {bench.sizes.tiles} tiles, {tokens} tokens each"
    if not exact:
        how += f"; ran for {runs[-1].tokens} tokens, the rest extrapolated at the pace of those"
    serial = list(accumulate(islice(cycle(took), asked)))
    queue = f"{asked} requests that come at once, answered one after another, CALCULATED from the latencies above"
    figures = (
        Figure("images_per_s", len(took) / sum(took), "1/s", how),
        Figure("latency_s", median(took), "s", "per image, median"),
        Figure("first_token_s", median(run.first_token_s for run in runs), "s", "from JPEG bytes, median"),
        Figure("token_s", median(run.token_s for run in runs), "s", "mean of the tokens after the first, median"),
        Figure("concurrent_p50_s", percentile(serial, 0.5), "s", queue),
        Figure("concurrent_p95_s", percentile(serial, 0.95), "s", queue),
    )
    short = None if len(runs) == bench.sizes.seed_images else f"{len(runs)} of {bench.sizes.seed_images} images"
    return Measured(figures, {"seconds": took, "tokens": [run.tokens for run in runs]}, short)


def at_once(bench: Bench, allowance: Allowance) -> Measured:
    """The seed's load test, really run: requests that come at once to a loop that does one at a time."""
    loop, files = _loop(bench)
    asked, tokens = bench.sizes.concurrent_requests, bench.sizes.seed_tokens
    loop.run(files[:1], 4, allowance)
    start = bench.clock()
    latencies: list[float] = []
    for data in files[:asked]:
        if allowance.over:
            break
        bench.say(f"the tutorial's loop: request {len(latencies) + 1} of {asked}")
        loop.run([data], tokens, Allowance(float("inf"), bench.clock))
        latencies.append(bench.clock() - start)
    short = None if len(latencies) == asked else f"{len(latencies)} of {asked} requests"
    how = f"{SET_UP}; {len(latencies)} requests that come at once, really run, {tokens} tokens each"
    figures = (
        Figure("concurrent_p50_s", percentile(latencies, 0.5), "s", how),
        Figure("concurrent_p95_s", percentile(latencies, 0.95), "s", how),
    )
    return Measured(figures, {"latencies_s": latencies}, short)


def _loop(bench: Bench) -> tuple[StockLoop, list[bytes]]:
    return StockLoop(bench.tutorial, bench.question), bench.files(bench.sizes.tiles)
