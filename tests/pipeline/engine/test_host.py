"""Checks that the host restarts a crashed, hung or killed engine, loses no job, and says why it gives up."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from sightstream.pipeline.engine import canary, process
from sightstream.pipeline.engine.health_check import HEALTH_CHECK_JOB
from sightstream.pipeline.engine.host import EngineHost
from sightstream.pipeline.engine.protocol import Engine, ProgressCallback
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.simulated import CRASH, HANG, REFUSE, SimulatedEngine
from sightstream.pipeline.errors import Cancelled, Fatal, Rejected
from sightstream.pipeline.memory_file import MemoryFile
from sightstream.pipeline.types import Completion, EngineJob, FinishedJob, Pixels
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.result import ModelIdentity
from tests.consumers.waiting import wait_for

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
SETTINGS = EngineSettings(kind="simulated", max_batch=4, simulated_s=0.01, hang_timeout_s=2)


def job(number: int, question: str = "what?") -> EngineJob:
    return EngineJob(number, Pixels(bytes([number]) * 3, 1, 1, "PNG"), question, AnalysisOptions())


def collect(engine: Engine, count: int, timeout: float = 60) -> dict[int, FinishedJob]:
    found: dict[int, FinishedJob] = {}
    deadline = time.monotonic() + timeout
    while len(found) < count and time.monotonic() < deadline:
        for finished in engine.finished(0.2):
            assert finished.id not in found
            found[finished.id] = finished
    assert len(found) == count
    return found


def restarts() -> float:
    return REGISTRY.get_sample_value("sightstream_engine_restarts_total") or 0.0


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
    assert all(isinstance(f.outcome, Completion) for f in found.values())
    assert host.identity.engine == "simulated"
    assert host.finished(0) == []


def noisy_engine(settings: EngineSettings, on_progress: ProgressCallback) -> Engine:
    """An engine that says something while it loads."""
    logging.getLogger("sightstream.noisy").warning("loading %s", "slowly")
    logging.getLogger("sightstream.noisy").info("nobody wants to know")
    return SimulatedEngine(settings, on_progress)


def test_what_the_engines_process_logs_is_logged_here(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    host = EngineHost(SETTINGS, noisy_engine)
    try:
        host.submit(job(1))
        collect(host, 1)
    finally:
        host.stop()
    assert [one for one in caplog.record_tuples if one[0] == "sightstream.noisy"] == [
        ("sightstream.noisy", logging.WARNING, "loading slowly")
    ]
    assert "loading" not in capfd.readouterr().err


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
    rejected = {n: f.outcome for n, f in found.items() if not isinstance(f.outcome, Completion)}
    assert sorted(rejected) == [1, 5]
    assert all(isinstance(e, Rejected) and e.reason is Reason.ENGINE_CRASH for e in rejected.values())


def test_poison_among_many_is_found_in_a_few_crashes(start: Callable[..., EngineHost]) -> None:
    host = start(max_batch=32)
    assert host.identity
    before = restarts()
    for number in range(64):
        host.submit(job(number, CRASH if number == 37 else "what?"))
    found = collect(host, 64)
    assert [n for n, f in found.items() if isinstance(f.outcome, Rejected)] == [37]
    assert restarts() - before <= 3  # with all, among eight, alone


def test_a_killed_process_loses_nothing(start: Callable[..., EngineHost]) -> None:
    host = start(simulated_s=0.3)
    assert host.identity
    for number in range(8):
        host.submit(job(number))
    assert host._process.pid
    os.kill(host._process.pid, signal.SIGKILL)
    assert all(isinstance(f.outcome, Completion) for f in collect(host, 8).values())


def test_a_stop_that_reaches_the_whole_group_is_left_to_the_parent(start: Callable[..., EngineHost]) -> None:
    host = start(simulated_s=0.1)
    first = host._process
    assert first.pid
    for stop in (signal.SIGTERM, signal.SIGINT):
        os.kill(first.pid, stop)  # while it imports its modules
    assert host.identity
    for number in range(12):
        host.submit(job(number))
    for stop in (signal.SIGTERM, signal.SIGINT):
        os.kill(first.pid, stop)
    collect(host, 12)
    assert host._process is first


LEFT_RUNNING = """
from sightstream.pipeline.engine.host import EngineHost
from sightstream.pipeline.engine.settings import EngineSettings
if __name__ == "__main__":
    host = EngineHost(EngineSettings(kind="simulated"))
    print(host.identity.name, host._process.pid, flush=True)
"""


def test_a_program_that_ends_without_a_stop_does_not_wait_for_the_engine(tmp_path: Path) -> None:
    """The engine ends with it."""
    script = tmp_path / "left_running.py"
    script.write_text(LEFT_RUNNING)
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    name, pid = done.stdout.split()
    assert name == "simulated"
    assert not Path(f"/proc/{pid}/exe").exists()


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGHUP])
def test_healthy_images_are_answered_however_often_the_engine_is_killed_under_them(
    stop: signal.Signals, start: Callable[..., EngineHost]
) -> None:
    """Also where the second kill hits one that is in the engine alone."""
    host = start(max_batch=4, simulated_s=0.2)
    for number in range(60):
        host.submit(job(number))
    found: dict[int, FinishedJob] = {}
    for killed_at in (8, 9):
        while len(found) < killed_at or not host._triage.busy:
            found |= {finished.id: finished for finished in host.finished(0.05)}
        assert host._process.pid
        os.kill(host._process.pid, stop)
        first = host._process
        while host._process is first:
            found |= {finished.id: finished for finished in host.finished(0.05)}
    found |= collect(host, 60 - len(found))
    assert sorted(found) == list(range(60))
    assert all(isinstance(finished.outcome, Completion) for finished in found.values())


class Kamikaze(SimulatedEngine):
    """Is killed by SIGKILL on one question, as on a machine whose memory it exhausts."""

    def submit(self, job: EngineJob) -> None:
        if job.question == "all memory" or self._settings.max_batch == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        super().submit(job)


def build_kamikaze(settings: EngineSettings, on_progress: ProgressCallback) -> Engine:
    return Kamikaze(settings, on_progress)


def test_an_image_that_is_killed_alone_three_times_is_rejected_and_its_neighbours_are_answered() -> None:
    host = EngineHost(SETTINGS.model_copy(update={"max_consecutive_crashes": 2}), build_kamikaze)
    for number in range(8):
        host.submit(job(number, "all memory" if number == 5 else "what?"))
    found = collect(host, 8)
    (rejected,) = [f.outcome for f in found.values() if not isinstance(f.outcome, Completion)]
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, "killed 3 times" in str(rejected)) == (Reason.ENGINE_CRASH, True)
    assert not isinstance(found[5].outcome, Completion)
    host.stop()


def test_an_engine_that_is_killed_before_it_answers_anything_is_fatal_and_rejects_no_image() -> None:
    host = EngineHost(SETTINGS.model_copy(update={"max_batch": 3, "max_consecutive_crashes": 2}), build_kamikaze)
    for number in range(6):
        host.submit(job(number))
    error, rejected = until_fatal(host)
    assert "was killed 2 times without an answer" in str(error)
    assert rejected == []
    host.stop()


class Short(SimulatedEngine):
    """Runs out of memory on its first jobs; the file that a question names counts them, beyond the process's end."""

    def submit(self, job: EngineJob) -> None:
        if job.question.startswith("/"):
            failures = Path(job.question)
            failures.write_text(failures.read_text() + "x")
            if len(failures.read_text()) <= 3:
                raise MemoryError
        super().submit(job)


def build_short(settings: EngineSettings, on_progress: ProgressCallback) -> Engine:
    return Short(settings, on_progress)


def test_a_machine_out_of_memory_for_a_moment_blames_no_image(tmp_path: Path) -> None:
    host = EngineHost(SETTINGS, build_short)
    failures = tmp_path / "failures"
    failures.touch()
    host.submit(job(1, str(failures)))
    assert isinstance(collect(host, 1)[1].outcome, Completion)
    assert failures.read_text() == "xxxx"
    host.stop()


def test_a_worker_that_was_frozen_does_not_take_its_engine_for_hung() -> None:
    seconds = [0.0]
    host = EngineHost(SETTINGS.model_copy(update={"simulated_s": 1}), clock=lambda: seconds[0])
    assert host.identity
    first = host._process
    host.submit(job(1))
    while not host._triage.busy:
        assert host.finished(0.01) == []
    seconds[0] = 3600.0
    assert host.finished(0) == []
    assert isinstance(collect(host, 1)[1].outcome, Completion)
    assert host._process is first
    host.stop()


def test_an_engine_that_cant_be_started_again_for_a_while_costs_only_time(
    start: Callable[..., EngineHost], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    host = start()
    assert host.identity
    starts: list[int] = []

    def start_at_the_third_time(pipe: int, lifeline: int, memory: MemoryFile | None) -> subprocess.Popen[bytes]:
        starts.append(len(os.listdir("/proc/self/fd")))
        if len(starts) < 3:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return really_start(pipe, lifeline, memory)

    really_start = process._start
    monkeypatch.setattr(process, "_start", start_at_the_third_time)
    assert host._process.pid
    os.kill(host._process.pid, signal.SIGKILL)
    for number in range(5):
        host.submit(job(number))
    assert all(isinstance(f.outcome, Completion) for f in collect(host, 5).values())
    assert len(starts) == 3
    assert starts[2] <= starts[0]  # open files
    assert "can't be started, trying again: Resource temporarily unavailable" in caplog.text


def test_a_stopped_process_is_seen_as_hung(start: Callable[..., EngineHost]) -> None:
    host = start()
    assert host.identity
    assert host._process.pid
    os.kill(host._process.pid, signal.SIGSTOP)
    host.submit(job(1))
    assert isinstance(collect(host, 1)[1].outcome, Completion)


def test_a_cancelled_job_ends_as_such(start: Callable[..., EngineHost]) -> None:
    host = start(simulated_s=0.5, max_batch=1)
    assert host.identity
    for number in range(6):
        host.submit(job(number))
    for number in (4, 5):
        host.cancel(number)
    found = collect(host, 6)
    assert [n for n, f in sorted(found.items()) if isinstance(f.outcome, Cancelled)] == [4, 5]


def until_fatal(engine: Engine) -> tuple[Fatal, list[FinishedJob]]:
    """Collect until the engine gives up; return its error and the jobs that ended before."""
    found: list[FinishedJob] = []
    while True:
        try:
            found += engine.finished(0.2)
        except Fatal as error:
            return error, found


class Elsewhere:
    """Waits half a second for its one job, and counts how often it was asked meanwhile."""

    identity = ModelIdentity(name="elsewhere", quantization="none", engine="elsewhere")

    def __init__(self) -> None:
        self.asked, self.done_at, self.job = 0, float("inf"), job(0)

    def submit(self, job: EngineJob) -> None:
        self.job, self.done_at = job, time.monotonic() + 0.5

    def finished(self, timeout: float) -> list[FinishedJob]:
        time.sleep(timeout)
        self.asked += 1
        if time.monotonic() < self.done_at:
            return []
        self.done_at = float("inf")
        return [FinishedJob(self.job.id, Completion("done", "stop", 1, self.asked))]

    def cancel(self, job_id: int) -> None: ...

    def capacity(self) -> int:
        return 1

    def running(self) -> int:
        return 1

    def stop(self) -> None: ...


def build_elsewhere(settings: EngineSettings, on_progress: ProgressCallback) -> Engine:
    return Elsewhere()


def test_an_engine_that_waits_for_others_costs_nothing_meanwhile() -> None:
    host = EngineHost(SETTINGS, build_elsewhere)
    host.submit(job(1))
    outcome = collect(host, 1)[1].outcome
    host.stop()
    assert isinstance(outcome, Completion)
    assert outcome.completion_tokens < 100


class Broken:
    """Loads, and crashes on every image, the health check included."""

    identity = ModelIdentity(name="broken", quantization="none", engine="broken")

    def submit(self, job: EngineJob) -> None:
        os._exit(70)

    def finished(self, timeout: float) -> list[FinishedJob]:
        return []

    def cancel(self, job_id: int) -> None: ...

    def capacity(self) -> int:
        return 4

    def running(self) -> int:
        return 0

    def stop(self) -> None: ...


def build_broken(settings: EngineSettings, on_progress: ProgressCallback) -> Engine:
    return Broken()


def test_a_broken_engine_is_fatal_and_rejects_no_image() -> None:
    host = EngineHost(SETTINGS.model_copy(update={"max_consecutive_crashes": 4}), build_broken)
    for number in range(6):
        host.submit(job(number))
    error, rejected = until_fatal(host)
    assert "4 times" in str(error)
    assert rejected == []
    host.stop()


def test_poison_alone_on_the_queue_is_still_rejected(start: Callable[..., EngineHost]) -> None:
    host = start()
    host.submit(job(1, CRASH))
    assert isinstance(collect(host, 1)[1].outcome, Rejected)
    assert host.identity.engine == "simulated"


class Failing(SimulatedEngine):
    """Raises as a GPU does, once all that came with a certain question is in work; says Fatal to another."""

    def finished(self, timeout: float) -> list[FinishedJob]:
        for waiting in self._queue:
            if waiting.question == "a bad kernel":
                raise RuntimeError("CUDA error: an illegal memory access was encountered")
            if waiting.question == "a wrong key":
                raise Fatal("the key is not accepted")
        return super().finished(timeout)


def build_failing(settings: EngineSettings, on_progress: ProgressCallback) -> Engine:
    return Failing(settings, on_progress)


def test_an_engine_that_raises_is_replaced_at_once_and_its_reason_logged(caplog: pytest.LogCaptureFixture) -> None:
    host = EngineHost(SETTINGS.model_copy(update={"hang_timeout_s": 600}), build_failing)
    assert host.identity
    for number in range(6):
        host.submit(job(number, "a bad kernel" if number == 3 else "what?"))
    found = collect(host, 6, timeout=60)
    assert [n for n, f in sorted(found.items()) if isinstance(f.outcome, Rejected)] == [3]
    assert "RuntimeError: CUDA error: an illegal memory access" in caplog.text
    assert "in finished" in caplog.text
    host.stop()


def test_an_engine_that_can_do_no_job_any_more_is_fatal_and_says_why() -> None:
    host = EngineHost(SETTINGS, build_failing)
    host.submit(job(1, "a wrong key"))
    error, found = until_fatal(host)
    assert (str(error), found) == ("the key is not accepted", [])
    host.stop()


def fail_to_build(settings: EngineSettings, on_progress: ProgressCallback) -> Engine:
    raise OSError("the disk is on fire")


def test_an_engine_that_fails_at_every_start_is_fatal_with_the_last_reason() -> None:
    host = EngineHost(SETTINGS, fail_to_build)
    error, _ = until_fatal(host)
    assert "did not start 3 times in a row" in str(error)
    assert "the disk is on fire" in str(error)
    host.stop()


class Forking(SimulatedEngine):
    """Leaves a process of its own behind, which holds on to all that it had open."""

    def submit(self, job: EngineJob) -> None:
        if job.question == "fork and die":
            if os.fork() == 0:
                time.sleep(8)
            os._exit(71)
        super().submit(job)


def build_forking(settings: EngineSettings, on_progress: ProgressCallback) -> Engine:
    return Forking(settings, on_progress)


def test_a_crash_is_seen_though_a_process_of_the_engine_lives_on() -> None:
    host = EngineHost(SETTINGS.model_copy(update={"hang_timeout_s": 600}), build_forking)
    assert host.identity
    first = host._process
    submitted = time.monotonic()
    host.submit(job(1, "fork and die"))
    while host._process is first:
        assert time.monotonic() - submitted < 5
        host.finished(0.05)
    host.stop()


def refuse_to_build(settings: EngineSettings, on_progress: ProgressCallback) -> Engine:
    raise Fatal("no such checkpoint")


def test_an_engine_that_cant_be_built_is_fatal_and_says_why() -> None:
    host = EngineHost(SETTINGS, refuse_to_build)
    with pytest.raises(Fatal, match="no such checkpoint"):
        _ = host.identity
    with pytest.raises(Fatal, match="no such checkpoint"):
        host.finished(0)
    host.stop()


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_slots_queue_and_repeated_work_are_shown(start: Callable[..., EngineHost]) -> None:
    host = start(simulated_s=5)
    _ = host.identity
    before = metric("sightstream_work_repeated_total", cause="engine_restart")
    for number in range(10):
        host.submit(job(number))
    wait_for(lambda: metric("sightstream_engine_slots_used") == 4 and host.running() == 4)
    assert metric("sightstream_engine_slots") == 4
    assert metric("sightstream_queue_requests", queue="infer") == 2  # and four wait in the engine's process
    os.kill(host._process.pid or 0, signal.SIGKILL)
    wait_for(lambda: metric("sightstream_work_repeated_total", cause="engine_restart") == before + 8)


# --- the canary -----------------------------------------------------------------------------------------------


class Miscalculating(SimulatedEngine):
    """Answers its known-good job as a file says. Each process and each such job leaves a letter in another file."""

    def __init__(self, settings: EngineSettings, on_progress: ProgressCallback, answer: Path, log: Path) -> None:
        super().__init__(settings, on_progress)
        self._answer, self._log = answer, log
        self._note("p")

    def _note(self, letter: str) -> None:
        with self._log.open("a") as log:
            log.write(letter)

    def finished(self, timeout: float) -> list[FinishedJob]:
        return [self._miscalculated(finished) for finished in super().finished(timeout)]

    def _miscalculated(self, finished: FinishedJob) -> FinishedJob:
        if finished.id != HEALTH_CHECK_JOB.id:
            return finished
        self._note("c")
        answers = self._answer.read_text().split("\n")
        text = answers[min(self._log.read_text().count("p"), len(answers)) - 1]
        return FinishedJob(finished.id, Completion(text, "stop", 1, 16))


def build_miscalculating(answer: Path, log: Path, settings: EngineSettings, on_progress: ProgressCallback) -> Engine:
    return Miscalculating(settings, on_progress, answer, log)


@dataclass
class Laboratory:
    """`answers` has a line for each process of the engine, the last one for all later ones."""

    folder: Path
    hosts: list[EngineHost] = field(default_factory=list)

    def host(self, answers: str, **changes: object) -> EngineHost:
        (self.folder / "answers").write_text(answers)
        (self.folder / "right").write_text("It is red")
        (self.folder / "log").touch()
        factory = partial(build_miscalculating, self.folder / "answers", self.folder / "log")
        settings = SETTINGS.model_copy(update={"canary_file": self.folder / "right"} | changes)
        self.hosts.append(EngineHost(settings, factory))
        return self.hosts[-1]

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()


@pytest.fixture
def laboratory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Laboratory]:
    monkeypatch.setattr(canary, "RETRY_PAUSE_S", 0.01)
    laboratory = Laboratory(tmp_path)
    yield laboratory
    for host in laboratory.hosts:
        host.stop()


def test_an_engine_that_computes_wrongly_answers_nothing_and_ends_the_worker(laboratory: Laboratory) -> None:
    host = laboratory.host("It is blue")
    host.submit(job(1))
    assert not host.accepts_work
    error, found = until_fatal(host)
    assert ("known-good job wrongly 6 times" in str(error), found) == (True, [])
    assert laboratory.log == "pccc" * 2
    assert not host.status().is_supervised


def test_an_engine_that_computes_rightly_in_a_new_process_goes_on(laboratory: Laboratory) -> None:
    host = laboratory.host("It is blue\nIt is red, all of it")
    host.submit(job(1))
    assert isinstance(collect(host, 1)[1].outcome, Completion)
    assert laboratory.log == "pcccpc"
    status = host.status()
    assert (status.accepts_work, status.is_supervised, status.canary_problem) == (True, True, None)


def test_an_idle_engine_is_asked_again_and_no_work_comes_of_it(laboratory: Laboratory) -> None:
    host = laboratory.host("It is red", canary_interval_s=0.05)
    while laboratory.log.count("c") < 3:
        assert host.finished(0.02) == []
    host.submit(job(1))
    collect(host, 1)
    (laboratory.folder / "answers").write_text("It is blue")
    while host.accepts_work:
        assert host.finished(0.02) == []
    host.submit(job(2))
    assert until_fatal(host)[1] == []


def test_a_process_that_is_killed_is_asked_before_it_gets_its_jobs_again(laboratory: Laboratory) -> None:
    host = laboratory.host("It is red\nIt is blue\nIt is red", simulated_s=0.3)
    while not host.accepts_work:
        host.finished(0.02)
    host.submit(job(1))
    while not host._triage.busy:
        host.finished(0.01)
    assert host._process.pid
    os.kill(host._process.pid, signal.SIGKILL)
    assert isinstance(collect(host, 1)[1].outcome, Completion)
    assert laboratory.log == "pcpcccpc"
