"""Bounds of the worker's settings that librdkafka, which counts in milliseconds, could not keep."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sightstream.consumers.worker.settings import WorkerSettings


@pytest.mark.parametrize("name", ["session_timeout_s", "max_poll_interval_s", "transaction_timeout_s"])
@pytest.mark.parametrize("value", ["inf", "nan", "0", "-1"])
def test_a_time_limit_is_a_positive_number(name: str, value: str) -> None:
    with pytest.raises(ValidationError):
        WorkerSettings.model_validate({name: value})
