"""A process that others may not trace still serves its metrics, and the flow's and the engine's processes are such."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable

import pytest

from sightstream.infra import flow as infra_flow
from sightstream.pipeline.engine.child import EngineUnusable
from sightstream.pipeline.engine.process import EngineProcess
from sightstream.pipeline.engine.protocol import Engine
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.errors import Fatal
from tests.pipeline.decode.test_confined_child import as_nobody

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux")

METRICS = """
from prometheus_client import REGISTRY, generate_latest
from sightstream.pipeline.untraceable import forbid_tracing
names = lambda: {line.split()[0] for line in generate_latest(REGISTRY).decode().splitlines() if line[:8] == "process_"}
before = names()
forbid_tracing()
assert "process_open_fds" in before and names() == before
"""


@pytest.mark.parametrize("user", [as_nobody])
def test_the_metrics_of_the_process_stay(user: list[str]) -> None:
    subprocess.run([*user, sys.executable, "-c", METRICS], check=True)


def test_a_flow_forbids_it_once_its_inboxes_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(infra_flow, "build_flow", lambda *_, **__: calls.append("build"))
    monkeypatch.setattr(infra_flow, "forbid_tracing", lambda: calls.append("forbid"))
    infra_flow.start_flow()
    assert calls == ["build", "forbid"]


def tell_dumpable(settings: EngineSettings, heartbeat: Callable[[], None]) -> Engine:
    raise Fatal(f"dumpable: {ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)}")


def test_the_engines_process_forbids_it() -> None:
    process = EngineProcess(EngineSettings(), tell_dumpable, None)
    assert process.pipe.recv() == EngineUnusable("dumpable: 0")
    process.end()
