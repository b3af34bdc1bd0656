"""Bounds of the worker's settings that librdkafka, which counts in milliseconds, could not keep; times that fit."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.pipeline.decode.tiles import Tiling
from sightstream.pipeline.settings import FlowSettings


@pytest.mark.parametrize("name", ["session_timeout_s", "max_poll_interval_s", "transaction_timeout_s"])
@pytest.mark.parametrize("value", ["inf", "nan", "0", "-1"])
def test_a_time_limit_is_a_positive_number(name: str, value: str) -> None:
    with pytest.raises(ValidationError):
        WorkerSettings.model_validate({name: value})


@pytest.mark.parametrize("name", ["commit_interval_s", "drain_timeout_s"])
@pytest.mark.parametrize("value", ["inf", "nan", "-1"])
def test_a_wait_ends(name: str, value: str) -> None:
    with pytest.raises(ValidationError):
        WorkerSettings.model_validate({name: value})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"session_timeout_s": 121}, r"session_timeout_s \(121\) must not exceed max_poll_interval_s \(120\): .*lower"),
        (
            {"transaction_timeout_s": 31, "max_poll_interval_s": 30},
            r"transaction_timeout_s \(31\) must not exceed max_p",
        ),
        ({"transaction_timeout_s": 91}, r"transaction_timeout_s \(91\) must not exceed 90: the next owner"),
        ({"backoff_s": 31}, r"backoff_s \(31\) must not exceed max_backoff_s \(30\)"),
        ({"retry_timeout_s": 86_400}, r"retry_timeout_s \(86400\) must not exceed outage_retry_timeout_s \(21600\)"),
    ],
)
def test_times_that_contradict_each_other_stop_the_start(given: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        WorkerSettings.model_validate(given)


def test_times_may_be_equal() -> None:
    WorkerSettings(session_timeout_s=60, max_poll_interval_s=60, transaction_timeout_s=60)


def test_the_defaults_feed_194_slots_of_four_tiles_also_while_a_dependency_is_down() -> None:
    in_flight = 2 * 194 + FlowSettings().prepare_threads
    uncommitted = 20 * 2  # at 20 answers/s, two seconds until they are committed
    assert WorkerSettings().max_unpublished // 2 >= in_flight + uncommitted
    assert FlowSettings().max_bytes >= in_flight * (Tiling(560, 4).canvas_bytes + 600_000)
