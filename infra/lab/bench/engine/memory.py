"""Measures whether memory stays constant over many images."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.engine.figures import Figure, Measured
from sightstream.infra.lab.bench.engine.saturate import Saturator

if TYPE_CHECKING:
    from sightstream.infra.lab.bench.engine.bench import Bench
    from sightstream.infra.lab.bench.engine.options import Allowance

SAMPLES = 200
WARM_FRACTION = 0.2


@dataclass(frozen=True, slots=True)
class Sample:
    """After `images` answers. Bytes; on the device 0 where there is none."""

    images: int
    device_allocated: int
    device_reserved: int
    host: int


def memory(bench: Bench, allowance: Allowance) -> Measured:
    """Many short answers; memory is looked at again and again."""
    images = bench.sizes.memory_images
    watch = _Watch(sampler_for(bench.device), max(1, images // SAMPLES))
    feed = bench.feed(repeat(bench.sizes.memory_tokens))
    saturator = Saturator(bench.engine, feed, bench.clock, bench.steps, bench.say, watch.see)
    done = len(saturator.run(images, allowance).ended)
    samples = watch.samples
    if len(samples) < 5:
        raise CommandError(f"{done} images are too few to tell; give the part more time")
    what = f"over {done} images of {bench.sizes.tiles} tiles, {bench.sizes.memory_tokens} tokens each"
    names = ("device_allocated", "device_reserved", "host") if bench.device == "cuda" else ("host",)
    figures = tuple(figure for name in names for figure in flatness(name, samples, what))
    short = f"{done} of {images} images" if done < images else None
    return Measured(figures, {"samples": [asdict(sample) for sample in samples]}, short)


def flatness(name: str, samples: Sequence[Sample], what: str) -> tuple[Figure, ...]:
    """Least, most and growth of one kind of memory, the first fifth of the images left out."""
    kept = [sample for sample in samples if sample.images >= WARM_FRACTION * samples[-1].images]
    values = [getattr(sample, name) for sample in kept]
    how = f"{len(kept)} samples {what}, the first fifth left out"
    growth = slope([sample.images for sample in kept], values)
    return (
        Figure(f"{name}_least_bytes", min(values), "B", how),
        Figure(f"{name}_most_bytes", max(values), "B", how),
        Figure(f"{name}_growth_bytes", growth * 1000, "B per 1000 images", f"least squares; {how}"),
    )


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Return the slope of the best straight line; 0 where all `xs` are equal."""
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread if spread else 0.0


def sampler_for(device: str) -> Callable[[int], Sample]:
    """Return a function that takes a sample, given the number of images so far."""
    import torch

    def sample(images: int) -> Sample:
        if device != "cuda":
            return Sample(images, 0, 0, resident_bytes())
        return Sample(images, torch.cuda.memory_allocated(), torch.cuda.memory_reserved(), resident_bytes())

    return sample


def resident_bytes() -> int:
    """Return this process's own bytes, without shared pages, where canvases come and go."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE")


class _Watch:
    """Takes a sample every so many images."""

    def __init__(self, sample: Callable[[int], Sample], every: int) -> None:
        self.samples: list[Sample] = []
        self._sample, self._every = sample, every

    def see(self, images: int) -> None:
        if not self.samples or images - self.samples[-1].images >= self._every:
            self.samples.append(self._sample(images))
