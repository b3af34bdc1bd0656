"""Measures the time per image up to its first token: decoding, vision, the prompt."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.engine.figures import Figure, Measured
from sightstream.infra.lab.bench.engine.saturate import Saturator
from sightstream.infra.lab.bench.engine.window import steady_rates

if TYPE_CHECKING:
    from sightstream.infra.lab.bench.engine.bench import Bench
    from sightstream.infra.lab.bench.engine.options import Allowance


def prefill(bench: Bench, allowance: Allowance) -> Measured:
    """Answers of one token each, with the engine full all the time."""
    images, warm = bench.sizes.prefill_images, max(1, bench.sizes.prefill_images // 4)
    saturator = Saturator(bench.engine, bench.feed(repeat(1)), bench.clock, bench.steps, bench.say)
    seen = saturator.run(warm + images, allowance)
    rates = steady_rates(seen.ended, warm, images)
    if rates is None:
        raise CommandError("too few images in the time allowed; give the part more time")
    how = (
        f"answers of 1 token, {bench.sizes.tiles} tiles, always work waiting: vision, projector, cross KV, prompt and "
        f"the first token; {rates.answers} images after {warm}{_lack(seen.starved_fraction)}"
    )
    short = f"{rates.answers} of {images} images" if rates.answers < images else None
    figure = Figure("image_s", 1 / rates.answers_per_s, "s", how)
    return Measured((figure,), {"images": rates.answers, "starved_share": seen.starved_fraction}, short)


def _lack(starved_fraction: float) -> str:
    return f"; NOT FULL in {starved_fraction:.0%} of the time: decoding was slower" if starved_fraction > 0.01 else ""
