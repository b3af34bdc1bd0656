"""What ends a worker, what only makes it unready, and what does neither."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sightstream.consumers.probes import Check
from sightstream.consumers.worker.health import BROKER_SILENT_S, WorkerHealth
from sightstream.pipeline.engine.status import EngineStatus
from sightstream.schemas.wire.result import ModelIdentity

MODEL = ModelIdentity(name="m", quantization="none", engine="slots")
WELL = EngineStatus(
    is_supervised=True,
    model=MODEL,
    device="a card",
    accepts_work=True,
    canary_problem=None,
    unreachable=None,
    reserved_bytes=102,
    reserved_at_start_bytes=100,
)


@dataclass
class FakeFlow:
    status: EngineStatus | None = WELL
    is_running: bool = True
    free_capacity: int = 3
    held_bytes: int = 7

    def engine_status(self) -> EngineStatus | None:
        return self.status


@dataclass
class Scene:
    seconds: float = 0.0
    flow: FakeFlow = field(default_factory=FakeFlow)
    watch: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(answered_at=0.0))

    def __post_init__(self) -> None:
        self.health = WorkerHealth(120, lambda: self.seconds)
        self.health.watch(cast("Any", self.flow), cast("Any", self.watch))
        self.health.turned()

    def failing(self) -> tuple[list[str], list[str]]:
        """Return which checks of /healthz and of /readyz fail."""
        return failing(self.health.alive()), failing(self.health.ready())


def failing(checks: list[Check]) -> list[str]:
    return [check.name for check in checks if check.problem is not None]


def test_a_worker_that_starts_lives_and_is_not_ready() -> None:
    health = WorkerHealth(120, lambda: 0.0)
    assert failing(health.alive()) == []
    assert failing(health.ready()) == ["reachable", "model", "canary", "memory"]
    assert health.status()


def test_a_worker_that_is_well_passes_all_checks() -> None:
    assert Scene().failing() == ([], [])


@pytest.mark.parametrize(
    ("changes", "unready"),
    [
        ({"model": None}, ["model"]),  # its process is being replaced
        ({"unreachable": "away"}, ["reachable"]),
        ({"canary_problem": "wrong 2 times in a row", "accepts_work": False}, ["canary"]),
        ({"reserved_bytes": 103}, ["memory"]),
        ({"reserved_bytes": None}, []),
    ],
)
def test_what_makes_it_unready_does_not_end_it(changes: dict[str, Any], unready: list[str]) -> None:
    scene = Scene()
    scene.flow.status = replace(WELL, **changes)
    assert scene.failing() == ([], unready)


def test_a_broker_that_is_away_does_not_end_it_as_long_as_its_loop_turns() -> None:
    scene = Scene()
    scene.seconds = BROKER_SILENT_S + 1
    scene.health.turned()
    assert scene.failing() == ([], ["reachable"])
    scene.seconds += 240  # a loop that is stuck in a call without a limit
    assert scene.failing()[0] == []
    scene.seconds += 1
    assert scene.failing()[0] == ["loop"]


@pytest.mark.parametrize("change", [{"is_running": False}, {"status": replace(WELL, is_supervised=False)}])
def test_children_that_nobody_replaces_end_it(change: dict[str, Any]) -> None:
    scene = Scene(flow=FakeFlow(**change))
    assert scene.failing()[0] == ["children"]


def test_status_names_the_model_and_its_device() -> None:
    engine = cast("dict[str, object]", Scene().health.status()["engine"])
    assert (engine["device"], engine["accepts_work"]) == ("a card", True)
