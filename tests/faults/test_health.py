"""What a real worker answers to probes: an engine that computes wrongly is kept from work, and nothing else is ill."""

from __future__ import annotations

import json
import time
from collections import Counter
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.infra.runtime.ports import free_ports
from sightstream.infra.runtime.resources import create_topics
from sightstream.schemas.wire.topics import TopicSettings, topic_specs
from tests.faults.harness import WorkerHarness, wait_for

pytestmark = pytest.mark.real

LOAD_S, OUTAGE_S = 600.0, 60.0
PROBE_TIMEOUT_S, PERIOD_S = 5, 2.0  # a kubelet asks every ten seconds; more answers tell more
BACKLOG = 30_000
UNREACHABLE = 0


def get(port: int, path: str) -> tuple[int, str]:
    """Return status and body, UNREACHABLE and why if there is no answer in time."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=PROBE_TIMEOUT_S) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()
    except (OSError, HTTPException) as error:
        return UNREACHABLE, str(error)


def metric(port: int, name: str) -> float:
    lines = get(port, "/metrics")[1].splitlines()
    return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name} ", f"{name}{{"))), 0.0)


def test_a_worker_is_ready_once_its_engine_is_known_to_answer_rightly(harness: WorkerHarness) -> None:
    (port,) = free_ports(1)
    harness.publish(20)
    harness.start_worker(worker_metrics_port=port)
    harness.check_exactly_once()
    assert get(port, "/healthz")[0] == 200
    assert get(port, "/readyz") == (
        200,
        json.dumps({"ok": True, "checks": dict.fromkeys(("reachable", "model", "canary", "memory"), "ok")}),
    )
    assert json.loads(get(port, "/status")[1])["engine"]["model"]["name"] == "simulated"
    assert metric(port, "sightstream_canary_ok") == 1
    # The canary is no traffic.
    assert metric(port, "sightstream_worker_requests_taken_total") == 20
    assert metric(port, 'sightstream_stage_seconds_count{stage="infer"}') == 20


def test_a_worker_whose_engine_computes_wrongly_leaves_the_partitions_to_others(
    harness: WorkerHarness,
) -> None:
    (port,) = free_ports(1)
    right = harness.folder / "right.txt"
    right.write_text("What the simulated engine never says")
    harness.publish(20)
    harness.start_worker(worker_metrics_port=port, engine_canary_file=right)
    wait_for(lambda: metric(port, "sightstream_canary_failures_total") >= 2, "two wrong answers")
    status, body = get(port, "/readyz")
    assert (status, json.loads(body)["checks"]["canary"][:5]) == (503, "wrong")
    assert get(port, "/healthz")[0] == 200
    assert metric(port, "sightstream_worker_requests_taken_total") == 0
    harness.start_worker()
    found = harness.check_exactly_once()
    assert len(found.results) == 20
    assert metric(port, "sightstream_worker_partitions") == 0


@pytest.mark.soak
@pytest.mark.timeout(1500)
def test_ten_minutes_of_full_load_and_one_without_the_broker_restart_nothing(tmp_path: Path) -> None:
    topics = TopicSettings(requests="soak.requests", results="soak.results", dead_letters="soak.dead", partitions=4)
    (port,) = free_ports(1)
    with LocalRuntime(tmp_path / "runtime") as runtime:
        create_topics(runtime.kafka_settings, topic_specs(topics))
        harness = WorkerHarness(runtime.kafka_settings, topics, tmp_path)
        try:
            harness.publish(BACKLOG)
            worker = harness.start_worker(worker_metrics_port=port, engine_simulated_s=0.1)
            wait_for(lambda: get(port, "/readyz")[0] == 200, "a worker that is ready")
            answers = ask_for(port, LOAD_S / 2)
            runtime.kafka.kill()
            answers += ask_for(port, OUTAGE_S)
            runtime.kafka.restart()
            answers += ask_for(port, LOAD_S / 2)
            print(f"\n/healthz: {Counter(status for status, _ in answers)}; {harness.reader.count} outcomes")  # noqa: T201
            assert worker.poll() is None, harness.logs()[-4000:]
            assert {answer for answer in answers if answer[0] not in (200, UNREACHABLE)} == set()
            assert "0, 0" not in ", ".join(str(status) for status, _ in answers)  # one late answer is the machine's
            assert metric(port, "sightstream_engine_restarts_total") == 0
            assert metric(port, "sightstream_canary_failures_total") == 0
            assert harness.reader.count < BACKLOG  # the load was full to the end
        finally:
            harness.stop()


def ask_for(port: int, seconds: float) -> list[tuple[int, str]]:
    """Ask /healthz again and again, as a kubelet does, and return all answers."""
    answers, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        answers.append(get(port, "/healthz"))
        time.sleep(PERIOD_S)
    return answers
