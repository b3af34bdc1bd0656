"""The measurement of what metrics and traces cost takes out what it says, and names a bar that is missed."""

from __future__ import annotations

import json

import pytest
from prometheus_client import REGISTRY

from sightstream.infra.lab.bench.observability.report import document
from sightstream.infra.lab.bench.observability.run import METRICS, OFF, ON, Cost, measure
from sightstream.infra.lab.bench.observability.variants import without_metrics, without_traces
from sightstream.infra.lab.bench.observability.workload import run_requests
from sightstream.schemas.connections.spans import Span, Spans

pytestmark = pytest.mark.slow


def results() -> float:
    return REGISTRY.get_sample_value("sightstream_worker_results_total") or 0.0


def test_a_run_commits_every_request_and_records_its_spans() -> None:
    before, recorded = results(), list[Span]()
    run_requests(30, Spans(recorded.append))
    assert results() == before + 30
    names = [span.name for span in recorded if span.parent is not None]
    assert sorted(set(names)) == ["commit", "decode", "fetch", "infer", "process image.requests"]
    assert len(names) == 5 * 30


def test_without_metrics_none_is_counted() -> None:
    before = results()
    with without_metrics(), without_traces():
        run_requests(5, None)
    assert results() == before


def test_every_part_is_compared() -> None:
    found = measure(pairs=1, requests=20, report=lambda text: None)
    assert [cost.name for cost in found] == [METRICS, OFF, ON]
    assert all(cost.without_us > 0 for cost in found)


def test_a_missed_bar_is_named() -> None:
    figures = document([Cost(OFF, 6.0, 5.0, 7.0, 400.0), Cost(ON, 250.0, 240.0, 260.0, 400.0)])["figures"]
    assert [one["is_met"] for one in json.loads(json.dumps(figures))] == [False, True]
