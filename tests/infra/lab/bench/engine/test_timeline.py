"""The timeline of the engine's phases: what overlaps, what stands still, and what an image costs in each."""

from __future__ import annotations

import pytest

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.engine.phases import TRACED, chrome_trace, phase_figures
from sightstream.infra.lab.bench.engine.timeline import Span, Timeline, busy, within
from sightstream.pipeline.engine.slots.phase_timer import Phase
from tests.infra.lab.bench.engine.fakes import Clock


def span(phase: Phase, begin: float, end: float, count: int = 1) -> Span:
    return Span(phase, count, begin, end, begin, begin + 0.5)


# Two groups of one image, an idle second between them, and steps: two of three seconds are beside the prefill.
SPANS = [
    span("encode", 0, 4),
    span("image_kv", 4, 5),
    span("prompts", 5, 7),
    span("first_tokens", 7, 8),
    span("step", 6, 9, count=12),
    span("encode", 9, 13),
]


def test_nothing_is_recorded_before_the_start_and_after_the_end() -> None:
    clock = Clock(5.0)
    timeline = Timeline("cpu", clock)
    for phase, count in (("encode", 1), ("step", 7)):
        with timeline("encode", 1):
            clock.now += 1
        timeline.start()
        with timeline(phase, count):  # type: ignore[arg-type]
            clock.now += 2
        timeline.stop()
    assert timeline.spans() == [Span("step", 7, 0.0, 2.0, 0.0, 2.0)]


def test_what_overlaps_is_counted_once() -> None:
    assert busy([span("step", 3, 5), span("encode", 0, 1), span("encode", 4, 6), span("prompts", 1, 2)]) == [
        (0, 2),
        (3, 6),
    ]
    assert within([(0, 2), (3, 6)], [(1, 4), (5, 9)]) == 1 + 1 + 1


def test_every_second_of_an_image_is_in_one_row() -> None:
    rows = {figure.name: figure.value for figure in phase_figures(SPANS)}
    assert rows == {
        "image_s": 9,
        "encode_s": 4,
        "image_kv_s": 1,
        "prompts_s": 2,
        "first_tokens_s": 1,
        "prefill_idle_s": 1,
        "step_s": 3,
        "step_alone_s": 1,
    }


def test_one_image_is_too_few() -> None:
    with pytest.raises(CommandError, match="more time"):
        phase_figures(SPANS[:5])


def test_a_trace_has_a_line_for_each_stream_and_one_for_the_host() -> None:
    trace = chrome_trace([span("encode", 0, 1), span("step", 0.25, 0.75, count=3)])
    assert [(event["tid"], event["ts"], event["dur"]) for event in trace] == [
        ("prefill stream", 0, 1e6),
        ("host", 0, 5e5),
        ("decode stream", 2.5e5, 5e5),
        ("host", 2.5e5, 5e5),
    ]
    assert trace[2]["args"] == {"count": 3}
    assert len(chrome_trace(SPANS * 1000)) == 2 * TRACED
