"""How long a decoding step takes with so many slots in use.

So many requests are asked at once, for answers of one length. They are admitted one after another and end so; between
the moment at which the last is admitted and that at which the first has ended, every slot is in use and nothing but
decoding goes on. The last admitted is the last to end, and it ends a known number of steps later.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sightstream.infra.lab.bench.engine.figures import Figure, Measured

if TYPE_CHECKING:
    from sightstream.infra.lab.bench.engine.bench import Bench
    from sightstream.infra.lab.bench.engine.options import Allowance

FEWEST_STEPS = 8


def decode(bench: Bench, allowance: Allowance) -> Measured:
    """A figure for each number of slots, the smaller ones first."""
    wanted = sorted({min(slots, bench.engine.capacity()) for slots in bench.sizes.decode_slots})
    figures: list[Figure] = []
    for slots in wanted:
        if figures and allowance.over:
            break
        bench.say(f"decoding with {slots} slots")
        figures.append(_step(bench, slots))
    left = wanted[len(figures) :]
    steps = {str(slots): one.value for slots, one in zip(wanted, figures, strict=False) if one.value is not None}
    detail = {"steps_s": steps, "tokens_so_far": bench.sizes.decode_tokens / 2}
    return Measured(tuple(figures), detail, f"no time for {left} slots" if left else None)


def _step(bench: Bench, slots: int) -> Figure:
    tokens = bench.sizes.decode_tokens
    with bench.step_moments() as moments:
        asked = bench.ask(slots, tokens)
    found = all_slots_in_use(moments, asked.ends, tokens)
    name = f"step_s_{slots}_slots"
    if found is None:
        return Figure(name, None, "s", "the first answer ended before the last was begun; set a larger decode_tokens")
    steps, seconds = found
    how = (
        f"{slots} requests at once, {bench.sizes.tiles} tiles, {tokens} tokens each: mean of the {steps} steps between "
        "the last one's beginning and the first one's end, when every slot is in use and no image is looked at"
    )
    return Figure(name, seconds / steps, "s", how)


def all_slots_in_use(moments: Sequence[float], ends: Sequence[float], tokens: int) -> tuple[int, float] | None:
    """Steps and seconds in which all answers were being written; None when there were too few to tell.

    `moments` are those of every step, `ends` those of the answers, which have `tokens` each. An answer's first token
    comes with its admission, the others with a step each.
    """
    first_end, last_end = bisect_right(moments, ends[0]), bisect_right(moments, ends[-1])
    last_begun = max(1, last_end - (tokens - 1))
    steps = first_end - last_begun
    if steps < FEWEST_STEPS:
        return None
    return steps, moments[first_end - 1] - moments[last_begun - 1]
