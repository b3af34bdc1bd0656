"""The slot engine's way from a canvas to what the text attends to, alone on the device."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch

from sightstream.infra.lab.bench.engine.engines import tiling_of
from sightstream.infra.lab.bench.engine.figures import Figure, Measured
from sightstream.infra.lab.bench.engine.timing import median_seconds
from sightstream.pipeline.decode.inline import decode
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.tiles import to_tiles

if TYPE_CHECKING:
    from sightstream.infra.lab.bench.engine.bench import Bench
    from sightstream.infra.lab.bench.engine.options import Allowance

REPEATS = 15


def vision(bench: Bench, allowance: Allowance) -> Measured:
    """Measure seconds per image. Replaces the vision tower's attention, so nothing stock can be measured after it."""
    from sightstream.pipeline.engine.slots.vision import VisionEncoder

    pixels = decode(bench.files(bench.sizes.tiles)[0], DecodeSettings())
    canvas, checkpoint = to_tiles(pixels, tiling_of(bench.options)), bench.stock
    with torch.inference_mode(), _stream(bench.device):
        encoder = VisionEncoder(checkpoint)
        if bench.device == "cuda":
            encoder.capture()
        seconds = median_seconds(partial(encoder.encode, canvas), bench.device, REPEATS)
    how = (
        f"{bench.sizes.tiles} tiles, from the canvas: copy to the device, normalising, vision tower, projector; "
        f"nothing else runs; median of {REPEATS} after 3"
    )
    return Measured((Figure("image_s", seconds, "s", how),))


def _stream(device: str) -> contextlib.AbstractContextManager[Any]:
    """Return a stream of its own for captures, which can't be on the default one; waits for the work of that."""
    if device == "cpu":
        return contextlib.nullcontext()
    torch.cuda.synchronize()
    new_stream = cast("Callable[[], torch.cuda.Stream]", torch.cuda.Stream)  # typed: torch's own class is not
    return torch.cuda.stream(new_stream())
