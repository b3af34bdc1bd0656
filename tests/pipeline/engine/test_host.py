from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from pipeline.engine.host import EngineHost
from pipeline.engine.protocol import Beat, Engine
from pipeline.engine.settings import EngineSettings
from pipeline.engine.simulated import CRASH, HANG, REFUSE
from pipeline.errors import Cancelled, Fatal, Rejected
from pipeline.types import EngineJob, Finished, Generated, Pixels
from schemas.dead_letter import Reason
from schemas.request import AnalysisOptions
from schemas.result import ModelIdentity

SETTINGS = EngineSettings(kind="simulated", max_batch=4, simulated_seconds=0.01, hang_timeout_s=2)


def job(number: int, question: str = "what?") -> EngineJob:
    return EngineJob(number, Pixels(bytes([number]) * 3, 1, 1, "PNG"), question, AnalysisOptions())


def collect(engine: Engine, count: int, timeout: float = 60) -> dict[int, Finished]:
    found: dict[int, Finished] = {}
    deadline = time.monotonic() + timeout
    while len(found) < count and time.monotonic() < deadline:
        for finished in engine.finished(0.2):
            assert finished.id not in found
            found[finished.id] = finished
    assert len(found) == count
    return found


@pytest.fixture
def start() -> Iterator[Callable[..., EngineHost]]:
    hosts: list[EngineHost] = []

    def start(**changes: object) -> EngineHost:
        hosts.append(EngineHost(SETTINGS.model_copy(update=changes)))
        return hosts[-1]

    yield start
    for host in hosts:
        host.stop()


def test_every_job_ends_once_and_the_engine_is_named(start: Callable[..., EngineHost]) -> None:
    host = start()
    for number in range(20):
        host.submit(job(number))
    found = collect(host, 20)
    assert all(isinstance(f.outcome, Generated) for f in found.values())
    assert host.identity.engine == "simulated"
    assert host.finished(0) == []


def test_one_refusal_leaves_its_neighbours_alone(start: Callable[..., EngineHost]) -> None:
    host = start()
    for number in range(6):
        host.submit(job(number, REFUSE if number == 2 else "what?"))
    found = collect(host, 6)
    assert [n for n, f in found.items() if isinstance(f.outcome, Rejected)] == [2]


@pytest.mark.parametrize("poison", [CRASH, HANG])
def test_poison_is_rejected_and_its_neighbours_are_answered(poison: str, start: Callable[..., EngineHost]) -> None:
    host = start()
    for number in range(10):
        host.submit(job(number, poison if number in (1, 5) else "what?"))
    found = collect(host, 10)
    guilty = {n: f.outcome for n, f in found.items() if not isinstance(f.outcome, Generated)}
    assert sorted(guilty) == [1, 5]
    assert all(isinstance(e, Rejected) and e.reason is Reason.ENGINE_CRASH for e in guilty.values())


def test_a_killed_process_loses_nothing(start: Callable[..., EngineHost]) -> None:
    host = start(simulated_seconds=0.3)
    assert host.identity
    for number in range(8):
        host.submit(job(number))
    assert host._process.pid
    os.kill(host._process.pid, signal.SIGKILL)
    assert all(isinstance(f.outcome, Generated) for f in collect(host, 8).values())


def test_a_stopped_process_is_seen_as_hung(start: Callable[..., EngineHost]) -> None:
    host = start()
    assert host.identity
    assert host._process.pid
    os.kill(host._process.pid, signal.SIGSTOP)
    host.submit(job(1))
    assert isinstance(collect(host, 1)[1].outcome, Generated)


def test_a_cancelled_job_ends_as_such(start: Callable[..., EngineHost]) -> None:
    host = start(simulated_seconds=0.5, max_batch=1)
    assert host.identity
    for number in range(6):
        host.submit(job(number))
    for number in (4, 5):
        host.cancel(number)
    found = collect(host, 6)
    assert [n for n, f in sorted(found.items()) if isinstance(f.outcome, Cancelled)] == [4, 5]


def until_fatal(engine: Engine) -> tuple[Fatal, list[Finished]]:
    """The end of an engine, and what it said before."""
    found: list[Finished] = []
    while True:
        try:
            found += engine.finished(0.2)
        except Fatal as error:
            return error, found


class Broken:
    """Loads, and dies on every picture, the plainest too."""

    identity = ModelIdentity(name="broken", quantization="none", engine="broken")

    def submit(self, job: EngineJob) -> None:
        os._exit(70)

    def finished(self, timeout: float) -> list[Finished]:
        return []

    def cancel(self, job_id: int) -> None: ...

    def capacity(self) -> int:
        return 4

    def stop(self) -> None: ...


def build_broken(settings: EngineSettings, beat: Beat) -> Engine:
    return Broken()


def test_a_broken_engine_is_fatal_and_accuses_no_image() -> None:
    host = EngineHost(SETTINGS.model_copy(update={"max_deaths_in_a_row": 4}), build_broken)
    for number in range(6):
        host.submit(job(number))
    error, accused = until_fatal(host)
    assert "4 times" in str(error)
    assert accused == []
    host.stop()


def test_poison_alone_on_the_queue_is_still_sentenced(start: Callable[..., EngineHost]) -> None:
    host = start()
    host.submit(job(1, CRASH))
    assert isinstance(collect(host, 1)[1].outcome, Rejected)
    assert host.identity.engine == "simulated"


def refuse_to_build(settings: EngineSettings, beat: Beat) -> Engine:
    raise Fatal("no such checkpoint")


def test_an_engine_that_cant_be_built_is_fatal_and_says_why() -> None:
    host = EngineHost(SETTINGS, refuse_to_build)
    with pytest.raises(Fatal, match="no such checkpoint"):
        _ = host.identity
    with pytest.raises(Fatal, match="no such checkpoint"):
        host.finished(0)
    host.stop()
