"""How long a decoding step takes with so many slots in use.

So many requests are asked at once, twice: for short answers and for long ones. Both times they are admitted one after
another and end so, hence the difference of the two is nothing but decoding steps with every slot in use, provided that
the short answers are still being written when the last request is admitted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.bench.engine.figures import Figure, Measured

if TYPE_CHECKING:
    from infra.bench.engine.bench import Bench
    from infra.bench.engine.options import Allowance


def decode(bench: Bench, allowance: Allowance) -> Measured:
    """A figure for each number of slots, the smaller ones first."""
    short, long = bench.sizes.decode_tokens
    wanted = sorted({min(slots, bench.engine.capacity()) for slots in bench.sizes.decode_slots})
    figures: list[Figure] = []
    for slots in wanted:
        if figures and allowance.over:
            break
        bench.say(f"decoding with {slots} slots")
        took = [max(bench.latencies(slots, tokens)) for tokens in (short, long)]
        how = (
            f"{slots} requests at once, {bench.sizes.tiles} tiles: time to the last answer with {long} tokens each "
            f"less that with {short}, over {long - short} steps"
        )
        figures.append(step_figure(slots, took[0], took[1], long - short, how))
    left = wanted[len(figures) :]
    steps = {figure.name.split("_")[2]: figure.value for figure in figures if figure.value is not None}
    detail = {"steps_s": steps, "tokens_so_far": (short + long) / 2}
    return Measured(tuple(figures), detail, f"no time for {left} slots" if left else None)


def step_figure(slots: int, short_s: float, long_s: float, steps: int, how: str) -> Figure:
    """Without a value when the longer answers were not the slower ones: then nothing was measured."""
    name = f"step_s_{slots}_slots"
    if long_s <= short_s:
        return Figure(name, None, "s", "long answers took no longer than short ones: something else kept it busy")
    return Figure(name, (long_s - short_s) / steps, "s", how)
