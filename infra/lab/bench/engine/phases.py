"""Where an image's time goes: every phase of the device's work, with the engine full all the time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.engine.figures import Figure, Measured
from sightstream.infra.lab.bench.engine.steady import fixed_workload, steady, window_of
from sightstream.infra.lab.bench.engine.timeline import PREFILL_PHASES, Interval, Span, busy, within
from sightstream.infra.lab.bench.engine.timing import median_seconds

if TYPE_CHECKING:
    from sightstream.infra.lab.bench.engine.bench import Bench
    from sightstream.infra.lab.bench.engine.options import Allowance

REPEATS = 15
TRACED = 400  # phases: some seconds
ABOUT = {
    "encode": "copy of the tiles to the device, vision model, projector",
    "image_kv": "keys and values of all cross-attention layers, into the image's pages",
    "prompts": "the group's prompts through the text model, and the head",
    "first_tokens": "sampling, and the copy to the host",
}


def phases(bench: Bench, allowance: Allowance) -> Measured:
    """As `steady.fixed`, with the phases between device events. Raises CommandError where too few images were seen."""
    warm, window = window_of(bench, bench.engine)

    def watch(answers: int) -> None:
        if answers >= warm + window:
            bench.timeline.stop()
        elif answers >= warm and not bench.timeline.recording:
            bench.timeline.start()

    seen = steady(bench, fixed_workload(bench, bench.engine, bench.sizes.tiles), allowance, watch)
    bench.timeline.stop()
    spans = bench.timeline.spans()
    figures = (*phase_figures(spans), *_projector(bench), *seen.figures)
    return Measured(figures, seen.detail | {"trace": chrome_trace(spans)}, seen.cut_short)


def phase_figures(spans: Sequence[Span]) -> list[Figure]:
    """Seconds of an image in each phase, between the first and the last image's encoding."""
    encoded = [span.begin for span in spans if span.phase == "encode"]
    if len(encoded) < 2:
        raise CommandError("too few images in the time allowed; give the part more time")
    window, images = (min(encoded), max(encoded)), len(encoded) - 1
    each = partial(_phase, spans, window, images)
    prefill = busy([span for span in spans if span.phase != "step"])
    steps = busy([span for span in spans if span.phase == "step"])
    total = window[1] - window[0]
    how = f"{images} images in {total:.1f} s"
    return [
        Figure("image_s", total / images, "s", how),
        *(each(phase) for phase in PREFILL_PHASES),
        Figure("prefill_idle_s", (total - within(prefill, [window])) / images, "s", "none of the above runs"),
        each("step"),
        Figure("step_alone_s", _alone(steps, prefill, window) / images, "s", "of step: while none of the above runs"),
    ]


def _phase(spans: Sequence[Span], window: Interval, images: int, phase: str) -> Figure:
    """The mean of an image's seconds on the device; the method has the host's."""
    found = [span for span in spans if span.phase == phase]
    device = sum(within([(span.begin, span.end)], [window]) for span in found)
    host = sum(span.host_end - span.host_begin for span in found)
    each = sum(span.count for span in found) / max(1, len(found))
    about = ABOUT.get(phase, "decoding step and sampling; runs beside the above")
    how = f"{about}; {len(found)} times, {each:.1f} each; the host launches for {host / images * 1e3:.2f} ms per image"
    return Figure(f"{phase}_s", device / images, "s", how)


def _alone(intervals: Sequence[Interval], others: Sequence[Interval], window: Interval) -> float:
    inside = [(max(begin, window[0]), min(end, window[1])) for begin, end in intervals]
    inside = [(begin, end) for begin, end in inside if begin < end]
    return sum(end - begin for begin, end in inside) - within(inside, others)


def _projector(bench: Bench) -> list[Figure]:
    """The part of `encode` that can't be seen within its CUDA graph."""
    model = bench.checkpoint.model.model
    projector, tiles = model.multi_modal_projector, model.vision_model.max_num_tiles
    size = (tiles, model.vision_model.num_patches, projector.in_features)
    states = torch.zeros(size, dtype=bench.checkpoint.model.dtype, device=bench.checkpoint.model.device)
    with torch.inference_mode():
        seconds = median_seconds(partial(projector, states), bench.device, REPEATS)
    return [Figure("projector_s", seconds, "s", f"of encode; alone on the device, median of {REPEATS}")]


def chrome_trace(spans: Sequence[Span]) -> list[dict[str, Any]]:
    """The first phases, as chrome://tracing and Perfetto read them: one line for each stream, one for the host."""
    events: list[dict[str, Any]] = []
    for span in spans[:TRACED]:
        stream = "decode stream" if span.phase == "step" else "prefill stream"
        events.append(_event(span, stream, span.begin, span.end))
        events.append(_event(span, "host", span.host_begin, span.host_end))
    return events


def _event(span: Span, line: str, begin: float, end: float) -> dict[str, Any]:
    moment = {"ts": begin * 1e6, "dur": (end - begin) * 1e6}
    return {"name": span.phase, "ph": "X", "pid": 0, "tid": line, "args": {"count": span.count}} | moment
