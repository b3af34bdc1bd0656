"""What the worker holds and costs, as its metrics show it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY

from sightstream.consumers.worker.load_metrics import LoadMetrics


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def queued() -> list[float]:
    return [value("sightstream_queue_requests", queue=name) for name in ("fetch", "retry", "commit")]


def test_queues_bytes_and_cost_are_shown_as_time_passes() -> None:
    now = [100.0]
    assignment: Any = SimpleNamespace(unpublished=9, unfinished=7, held_bytes=4000)
    flow: Any = SimpleNamespace(held_bytes=500, queued=3)
    retry_queue: Any = [None] * 4
    load = LoadMetrics(assignment, flow, retry_queue, 3.6, lambda: now[0])
    before = value("sightstream_worker_cost_total")
    now[0] += 20
    load.update()
    assert queued() == [3, 4, 2]
    assert value("sightstream_worker_in_flight") == 9
    assert value("sightstream_worker_in_flight_bytes") == 500
    assert value("sightstream_worker_record_bytes") == 4000
    assert value("sightstream_worker_cost_total") - before == pytest.approx(0.02)
    flow.queued = 8
    load.update()  # at once: counting would cost more than the rest of the loop
    assert queued()[0] == 3
