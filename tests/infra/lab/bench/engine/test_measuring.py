"""Parts on an engine whose speed is known: the figures are what they must be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat
from typing import Any

import pytest

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.engine import decode_steps, latency, memory, prefill, steady, structured
from sightstream.infra.lab.bench.engine.asking import Asked, Asker
from sightstream.infra.lab.bench.engine.feed import Asks, Feed
from sightstream.infra.lab.bench.engine.figures import Measured
from sightstream.infra.lab.bench.engine.memory import Sample, flatness, slope
from sightstream.infra.lab.bench.engine.options import Allowance, BenchOptions
from sightstream.infra.lab.bench.engine.sizes import ON_CPU, sizes_for
from sightstream.infra.lab.bench.engine.stagger import staggered
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.errors import Rejected
from sightstream.pipeline.types import EngineJob
from sightstream.schemas.wire.dead_letter import Reason, Stage
from tests.infra.lab.bench.engine.fakes import AtOnce, Clock, FakeDecoder, FakeEngine

pytestmark = pytest.mark.slow

STEP_S = 0.25


class WaitingFeed(Feed):
    def ready(self) -> EngineJob | None:
        return self.wait(10)


class KnownBench:
    """As `Bench`, around a fake engine of four slots."""

    device = "cpu"
    options = BenchOptions(EngineSettings(kind="simulated"))
    sizes = sizes_for("cpu", {"tokens": "16", "memory_images": "60"})

    def __init__(self) -> None:
        self.clock, self.decoder = Clock(), FakeDecoder()
        self.moments: list[float] = []
        self.engine = FakeEngine(self.clock, slots=4, step_s=STEP_S, beat=lambda: self.moments.append(self.clock()))
        self.host = self.engine
        self.numbers = iter(range(0, 10**9, 10**6))

    def say(self, text: str) -> None:
        pass

    def steps(self) -> int:
        return self.engine.steps

    def feed(self, tokens: Iterator[int], tiles: int | None = None, asks: Asks = Asks()) -> Feed:  # noqa: B008 - frozen
        return WaitingFeed([b"file"], self.decoder, "What?", tokens, 2, next(self.numbers), asks)

    @contextmanager
    def step_moments(self) -> Iterator[list[float]]:
        self.moments.clear()
        yield self.moments

    def ask(self, requests: int, tokens: int) -> Asked:
        asker = Asker(self.engine, self.decoder, "What?", self.clock, AtOnce())
        return asker.ask([b"file"] * requests, tokens, next(self.numbers))


def value(measured: Measured, name: str) -> float:
    found = next(figure.value for figure in measured.figures if figure.name == name)
    assert found is not None
    return found


def measured(part: Any, seconds: float = 1e6) -> Measured:
    bench = KnownBench()
    found: Measured = part(bench, Allowance(seconds, bench.clock))
    assert bench.decoder.lent == 0
    assert all(figure.method for figure in found.figures)
    return found


def test_fixed_lengths() -> None:
    found = measured(steady.fixed)
    assert value(found, "images_per_s") == pytest.approx(4 / (16 * STEP_S))
    assert value(found, "tokens_per_s") == pytest.approx(4 / STEP_S)
    assert value(found, "images_per_s_from_tokens") == pytest.approx(value(found, "images_per_s"))
    assert value(found, "steps_per_s") == pytest.approx(1 / STEP_S)
    assert value(found, "tokens_a_step") == pytest.approx(4)
    assert found.detail["slots"] == 4
    assert found.detail["starved_share"] == 0
    assert found.cut_short is None


def test_mixed_lengths_keep_the_token_rate() -> None:
    found = measured(steady.mixed)
    assert value(found, "tokens_per_s") == pytest.approx(4 / STEP_S, rel=0.35)  # a short window of eight answers


def test_an_engine_that_ran_out_of_memory_says_so() -> None:
    bench: Any = KnownBench()
    capacities = iter([4, 4])
    bench.engine.capacity = lambda: next(capacities, 3)
    found = steady.fixed(bench, Allowance(1e6, bench.clock))
    assert (found.detail["slots"], found.detail["slots_at_first"]) == (3, 4)
    assert "OUT OF MEMORY" in found.figures[0].method


def test_a_window_that_time_cuts_short_says_so() -> None:
    found = measured(steady.fixed, seconds=8 * 16 * STEP_S / 4 + 1)
    assert found.cut_short == "5 of 8 answers"
    assert value(found, "images_per_s") == pytest.approx(4 / (16 * STEP_S), rel=0.2)


def test_the_first_answers_are_cut_so_that_they_end_one_after_the_other() -> None:
    first = [next(lengths) for lengths in [staggered(repeat(100), 20)] for _ in range(25)]
    assert sorted(first[:20]) == pytest.approx([5 * position - 2.5 for position in range(1, 21)], abs=5)
    assert first[20:] == [100] * 5


def test_no_window_at_all_is_an_error() -> None:
    with pytest.raises(CommandError, match="give the part more time"):
        measured(steady.fixed, seconds=1)


def test_lengths_are_drawn_evenly() -> None:
    drawn = steady.lengths(32, 512)
    first = [next(drawn) for _ in range(1600)]
    assert min(first) < 40
    assert max(first) > 504
    assert all(32 <= length <= 512 for length in first)
    for start in range(0, 1600, 160):
        assert sum(first[start : start + 160]) / 160 == pytest.approx(272, abs=5)
    assert first == [next(again) for again in [steady.lengths(32, 512)] for _ in range(1600)]


def test_the_engine_in_another_process_shows_no_steps() -> None:
    names = {figure.name for figure in measured(steady.hosted).figures}
    assert {"images_per_s", "tokens_per_s"} <= names
    assert "steps_per_s" not in names


def test_tiles_are_measured_one_after_the_other() -> None:
    found = measured(steady.by_tiles)
    assert all(value(found, f"images_per_s_{tiles}_tiles") == pytest.approx(1.0) for tiles in (1, 2, 4))


def test_what_shares_an_image_is_compared_with_what_does_not() -> None:
    found = measured(structured.questions)
    assert value(found, "speed_up") == pytest.approx(1, rel=0.2)  # to the fake engine all jobs are the same
    assert value(found, "alone_answers_per_s") == pytest.approx(4 / (40 * STEP_S), rel=0.2)


def test_masked_answers_are_compared_with_free_ones() -> None:
    found = measured(structured.constrained)
    assert value(found, "masked_ratio") == pytest.approx(1, rel=0.2)
    assert {figure.name for figure in found.figures} > {"free_answers_per_s", "masked_answers_per_s"}


def test_images_of_low_detail_are_measured() -> None:
    assert value(measured(structured.low), "images_per_s") == pytest.approx(4 / (48 * STEP_S), rel=0.2)


def test_a_step_with_every_slot_in_use() -> None:
    found = measured(decode_steps.decode)
    assert found.detail["tokens_so_far"] == ON_CPU.decode_tokens / 2
    assert found.detail["steps_s"] == {"1": STEP_S, "4": STEP_S}  # the engine has no more than four slots


def test_steps_in_which_not_every_slot_is_in_use_do_not_count() -> None:
    """Three answers of 20 tokens, begun at steps 1, 5 and 9; a step takes as many seconds as it has answers."""
    moments, now = [], 0.0
    for step in range(1, 29):
        now += sum(begun < step <= begun + 19 for begun in (1, 5, 9))
        moments.append(now)
    ends = [moments[begun + 18] for begun in (1, 5, 9)]
    assert decode_steps.all_slots_in_use(moments, ends, 20) == (11, 33.0)
    assert decode_steps.all_slots_in_use(moments, ends, 16) is None


def test_prefill() -> None:
    assert value(measured(prefill.prefill), "image_s") == pytest.approx(STEP_S / 4, rel=0.1)


def test_single() -> None:
    found = measured(latency.single)
    assert value(found, "token_s") == pytest.approx(STEP_S, rel=0.2)
    assert value(found, "total_s") > value(found, "first_token_s")


def test_concurrent() -> None:
    found = measured(latency.concurrent)
    assert value(found, "concurrent_p95_s") == pytest.approx(3 * 16 * STEP_S, rel=0.2)  # ten on four slots
    assert value(found, "concurrent_p50_s") == pytest.approx(2 * 16 * STEP_S, rel=0.2)


def test_memory_is_looked_at_all_along() -> None:
    found = measured(memory.memory)
    assert value(found, "host_most_bytes") >= value(found, "host_least_bytes") > 0
    assert len(found.detail["samples"]) >= 10


def test_growth_is_told_per_thousand_images() -> None:
    samples = [Sample(images, 0, 0, 5_000_000 + 200 * images) for images in range(0, 1000, 10)]
    least, most, growth = flatness("host", samples, "over 1000 images")
    assert growth.value == pytest.approx(200_000)
    assert (least.value, most.value) == (5_000_000 + 200 * 200, 5_000_000 + 200 * 990)
    assert slope([1, 1], [2, 3]) == 0


def test_an_answer_of_the_wrong_length_is_no_measurement() -> None:
    bench: Any = KnownBench()
    original = bench.engine.finished

    def shortened(timeout: float) -> list[Any]:
        bench.engine.asked = dict.fromkeys(bench.engine.asked, 3)
        return list(original(timeout))

    bench.engine.finished = shortened
    with pytest.raises(CommandError, match="3 tokens and not the 9"):
        bench.ask(1, 9)


def test_a_request_that_is_refused_is_told() -> None:
    bench = KnownBench()
    refusing = FakeEngine(bench.clock, error=Rejected(Reason.ENGINE_REFUSED, Stage.INFER, "no"))
    with pytest.raises(CommandError, match="did not answer: no"):
        Asker(refusing, bench.decoder, "What?", bench.clock, AtOnce()).ask([b"file"], 9, 0)
