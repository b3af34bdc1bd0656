"""The engine never lacks work, and every image that was lent out comes back."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat

import pytest

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.engine.feed import Feed
from sightstream.infra.lab.bench.engine.options import Allowance
from sightstream.infra.lab.bench.engine.saturate import Saturator, in_hand
from sightstream.infra.lab.bench.engine.window import steady_rates
from sightstream.pipeline.errors import Rejected
from sightstream.pipeline.types import EngineJob, Pixels
from sightstream.schemas.wire.dead_letter import Reason, Stage
from tests.infra.lab.bench.engine.fakes import Clock, FakeDecoder, FakeEngine


class WaitingFeed(Feed):
    """Waits for a decoded image, so that a test does not depend on threads."""

    def ready(self) -> EngineJob | None:
        return self.wait(10)


def feed(decoder: FakeDecoder, tokens: Iterator[int]) -> Feed:
    return WaitingFeed([b"one", b"two"], decoder, "What?", tokens, threads=2)


def test_a_steady_engine_is_measured_exactly() -> None:
    clock, decoder = Clock(), FakeDecoder()
    engine = FakeEngine(clock, slots=4, step_s=0.5)
    saturator = Saturator(engine, feed(decoder, repeat(8)), clock, lambda: engine.steps)
    seen = saturator.run(40, Allowance(1e9, clock))
    rates = steady_rates(seen.ended, warm=4, wanted=32)
    assert rates is not None
    assert rates.answers_per_s == pytest.approx(4 / (8 * 0.5))
    assert rates.tokens_per_s == pytest.approx(4 / 0.5)
    assert rates.steps_per_s == pytest.approx(1 / 0.5)
    assert seen.starved_fraction == 0
    assert engine.most_held == in_hand(4) == 6
    assert decoder.lent == 0


def test_time_ends_a_run_and_what_is_unfinished_is_cancelled() -> None:
    clock, decoder = Clock(), FakeDecoder()
    engine = FakeEngine(clock, slots=2, step_s=1)
    seen = Saturator(engine, feed(decoder, repeat(4)), clock).run(1000, Allowance(20, clock))
    assert 8 <= len(seen.ended) <= 10
    assert decoder.lent == 0
    assert engine.finished(0) == []


def test_a_feed_that_ends_leaves_the_engine_starved() -> None:
    clock, decoder = Clock(), FakeDecoder()
    engine = FakeEngine(clock, slots=2, step_s=1)
    few = iter([2] * 6)
    seen = Saturator(engine, feed(decoder, few), clock).run(1000, Allowance(20, clock))
    assert len(seen.ended) == 6
    assert seen.starved_fraction > 0.5


def test_an_engine_that_was_never_full_is_starved_all_the_time() -> None:
    clock, decoder = Clock(), FakeDecoder()
    engine = FakeEngine(clock, slots=4, step_s=1)
    seen = Saturator(engine, feed(decoder, iter([2])), clock).run(1, Allowance(20, clock))
    assert (len(seen.ended), seen.starved_fraction) == (1, 1.0)


def test_an_answer_that_fails_ends_the_run() -> None:
    clock, decoder = Clock(), FakeDecoder()
    engine = FakeEngine(clock, error=Rejected(Reason.ENGINE_REFUSED, Stage.INFER, "no"))
    with pytest.raises(CommandError, match="did not answer: no"):
        Saturator(engine, feed(decoder, repeat(1)), clock).run(10, Allowance(1e9, clock))


def test_a_feed_hands_out_jobs_in_order_with_keys_of_their_own() -> None:
    decoder = FakeDecoder()
    given = Feed([b"one", b"two"], decoder, "What?", iter([3, 4, 5]), threads=2, first=100)
    jobs = [job for _ in range(3) if (job := given.wait(10)) is not None]
    assert [job.id for job in jobs] == [100, 101, 102]
    assert [job.options.max_tokens for job in jobs] == [3, 4, 5]
    assert len({job.image_key for job in jobs}) == 3
    assert sorted(decoder.seen) == [b"one", b"one", b"two"]
    assert given.wait(10) is None
    assert given.ready() is None
    for job in jobs:
        given.ended(job.id)
    given.stop()
    assert decoder.lent == 0


def test_a_stopped_feed_gives_back_what_it_had_decoded() -> None:
    decoder = FakeDecoder()
    given = Feed([b"one"], decoder, "What?", repeat(1), threads=2)
    job = given.wait(10)
    assert job is not None
    given.stop()
    assert decoder.lent == 1
    given.ended(job.id)
    assert decoder.lent == 0


def test_a_file_that_can_not_be_decoded_is_reported() -> None:
    class Broken(FakeDecoder):
        def decode(self, data: bytes, max_tiles: int | None = None) -> Pixels:
            raise Rejected(Reason.IMAGE_CORRUPT, Stage.DECODE, "damaged")

    given = Feed([b"one"], Broken(), "What?", repeat(1), threads=1)
    with pytest.raises(Rejected, match="damaged"):
        given.wait(10)
    given.stop()
