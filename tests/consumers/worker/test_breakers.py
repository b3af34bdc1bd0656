"""Which answers close which circuit breakers, and how much is remembered of names that publishers choose."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from sightstream.consumers.worker.breakers import MAX_BREAKERS, MAX_ORIGINS, Breakers
from sightstream.consumers.worker.delivery import Delivery
from sightstream.pipeline.errors import Retryable
from sightstream.pipeline.types import Origin
from sightstream.schemas.wire.dead_letter import RecordId, Stage

ORDER = list(Stage)


def delivery(bucket: str = "b", label: str = "s3") -> Delivery:
    origin = Origin(f"s3://{bucket}", label, is_dependency=True)
    return Delivery(RecordId("t", 0, 0), None, b"", [], origin=origin)


def store_down(bucket: str = "b") -> Retryable:
    return Retryable(Stage.FETCH, "503", f"s3://{bucket}")


@pytest.fixture
def breakers() -> Breakers:
    return Breakers(failure_threshold=4, probe_interval_s=2, clock=lambda: 100.0)


def gauge(label: str) -> float | None:
    return REGISTRY.get_sample_value("sightstream_worker_breaker_open", {"dependency": label})


@pytest.mark.parametrize("stage", [Stage.FETCH, Stage.DECODE, Stage.INFER])
@pytest.mark.parametrize("reached", [Stage.FETCH, Stage.DECODE, Stage.INFER])
def test_an_answer_closes_the_breakers_of_its_stage_and_of_earlier_ones(
    breakers: Breakers, stage: Stage, reached: Stage
) -> None:
    for _ in range(4):
        breakers.record_failure(delivery(), Retryable(stage, "down", "a part of the worker"))
    breakers.record_progress(delivery("another"), reached, was_read=True)
    assert (breakers.down == set()) == (ORDER.index(reached) >= ORDER.index(stage))


def test_an_answer_from_one_bucket_says_nothing_about_another(breakers: Breakers) -> None:
    for _ in range(4):
        breakers.record_failure(delivery(), store_down())
    breakers.record_progress(delivery("another"), Stage.INFER, was_read=True)
    assert breakers.down == {"s3://b"}
    breakers.record_progress(delivery(), Stage.FETCH, was_read=False)
    assert breakers.down == set()


def test_a_part_behind_the_fetch_blocks_everybody_and_an_origin_its_own(breakers: Breakers) -> None:
    for _ in range(4):
        breakers.record_failure(delivery(), store_down())
    assert breakers.blocking(delivery()) == "s3://b"
    assert breakers.blocking(delivery("another")) is None
    for _ in range(4):
        breakers.record_failure(delivery("another"), Retryable(Stage.DECODE, "no process", "decoder"))
    assert breakers.blocking(delivery("another")) == "decoder"


def test_names_that_publishers_choose_are_bounded(breakers: Breakers) -> None:
    for _ in range(4):
        breakers.record_failure(delivery("ours"), store_down("ours"))
    for number in range(3 * MAX_BREAKERS):
        bucket = f"made-up-{number}"
        breakers.record_failure(delivery(bucket), store_down(bucket))
    assert len(breakers._failing) == MAX_BREAKERS
    assert breakers.down == {"s3://ours"}, "an open breaker is kept before one that has failed once"
    for number in range(3 * MAX_ORIGINS):
        breakers.record_progress(delivery(f"made-up-{number}"), Stage.FETCH, was_read=True)
    assert len(breakers._last_read) == MAX_ORIGINS


def test_the_metric_has_the_settings_names_and_never_a_publishers(breakers: Breakers) -> None:
    for bucket in ("first", "second"):
        for _ in range(4):
            breakers.record_failure(delivery(bucket, "*.label.example"), store_down(bucket))
    assert gauge("*.label.example") == 1
    assert gauge("s3://first") is None
    breakers.record_progress(delivery("first", "*.label.example"), Stage.FETCH, was_read=True)
    assert gauge("*.label.example") == 1, "another of the same label is still down"
    breakers.record_progress(delivery("second", "*.label.example"), Stage.FETCH, was_read=True)
    assert gauge("*.label.example") == 0
