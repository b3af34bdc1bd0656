"""What the measurement of the worker says, and when it calls a bar missed."""

from __future__ import annotations

import json
import os

import pytest

from sightstream.infra.lab.bench.worker.options import WorkerOptions
from sightstream.infra.lab.bench.worker.processes import DECODER, ENGINE, WORKER, cpu_by_part
from sightstream.infra.lab.bench.worker.report import document, figures, missed
from sightstream.infra.lab.bench.worker.run import Backlog, Measurement


def measurement(latency_s: float = 0.1, slot_time_used: float = 0.98, cpu_s: float = 0.01) -> Measurement:
    cpu = {WORKER: cpu_s, DECODER: cpu_s, ENGINE: cpu_s}
    return Measurement(WorkerOptions(), [latency_s] * 20, Backlog(19.4, slot_time_used, cpu))


def test_a_good_run_misses_no_bar() -> None:
    assert missed(measurement()) == []
    assert json.loads(json.dumps(document(measurement())))["missed"] == []


def test_each_bar_that_is_missed_is_named() -> None:
    assert missed(measurement(latency_s=0.2)) == ["an image alone, p95: 200.0 ms, not <= 150"]
    assert missed(measurement(slot_time_used=0.9)) == ["slot time used: 90.0 %, not >= 97"]
    assert missed(measurement(cpu_s=0.012)) == ["CPU of an image, all: 36.0 ms, not <= 35"]


def test_the_processor_time_of_all_parts_is_added() -> None:
    found = {figure.name: figure.value for figure in figures(measurement(cpu_s=0.005))}
    assert found["CPU of an image, all"] == pytest.approx(15)


def test_the_answers_of_a_backlog_last_as_long_as_asked_on_average() -> None:
    options = WorkerOptions(answer_s=10)
    lengths = [options.seconds_of(number) for number in range(1000)]
    assert lengths == [options.seconds_of(number) for number in range(1000)]
    assert sum(lengths) / 1000 == pytest.approx(10, rel=0.05)
    assert min(lengths) >= 5
    assert max(lengths) <= 15


def test_a_process_without_children_is_the_worker() -> None:
    assert cpu_by_part(os.getpid())[WORKER] > 0
