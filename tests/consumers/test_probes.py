"""What probes are answered, and by which rule a loop counts as stuck."""

from __future__ import annotations

import json

import pytest
from prometheus_client import CollectorRegistry

from sightstream.consumers.http_security import LOCAL_ACCESS
from sightstream.consumers.metrics_server import serve_metrics
from sightstream.consumers.probes import ANSWERING, Health, LoopHealth
from tests.consumers.test_http_security import ask, unused_port

__all__ = ["unused_port"]


def probed(health: Health, port: int, *paths: str) -> list[tuple[int, dict[str, object]]]:
    with serve_metrics(port, CollectorRegistry(), health=health):
        answers = [ask(LOCAL_ACCESS.url(port), path, {}) for path in paths]
    return [(status, json.loads(body)) for status, body in answers]


def test_a_loop_is_ready_once_it_turns_and_alive_until_it_is_stuck(unused_port: int) -> None:
    seconds = [0.0]
    health = LoopHealth(60, "reachable", lambda: seconds[0])
    paths = ("/healthz", "/readyz")
    alive = (200, {"ok": True, "checks": {"loop": "ok"}})
    assert probed(health, unused_port, *paths) == [alive, (503, {"ok": False, "checks": {"reachable": "starting"}})]
    health.turned()
    assert probed(health, unused_port, *paths) == [alive, (200, {"ok": True, "checks": {"reachable": "ok"}})]
    health.turned("the broker is away")
    seconds[0] = 60.0
    assert [status for status, _ in probed(health, unused_port, *paths)] == [200, 503]
    seconds[0] = 61.0
    assert probed(health, unused_port, "/healthz") == [
        (503, {"ok": False, "checks": {"loop": "no turn for 61 s"}}),
    ]


def test_status_shows_both_probes_and_more(unused_port: int) -> None:
    health = LoopHealth(60, "reachable", lambda: 0.0)
    health.turned()
    ((status, document),) = probed(health, unused_port, "/status")
    assert (status, document["readyz"]) == (200, {"ok": True, "checks": {"reachable": "ok"}})
    assert document["seconds_since_turn"] == 0


@pytest.mark.parametrize(
    ("path", "method", "status"), [("/", "GET", 404), ("/x", "GET", 404), ("/healthz", "POST", 405)]
)
def test_nothing_else_is_served(path: str, method: str, status: int, unused_port: int) -> None:
    with serve_metrics(unused_port, CollectorRegistry(), health=ANSWERING):
        assert ask(LOCAL_ACCESS.url(unused_port), path, {}, method)[0] == status
