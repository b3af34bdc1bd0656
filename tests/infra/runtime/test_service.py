"""Supervision, on small programs of our own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sightstream.infra.runtime.errors import RuntimeFailedError
from sightstream.infra.runtime.service import Program, Service
from tests.infra.runtime.waiting import has_ended, wait_until

pytestmark = pytest.mark.slow

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"
ROOT = Path(__file__).parents[3]


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[Callable[[str], Service]]:
    """`make_service(python_code)`, answering as soon as it has printed something; stopped at the end."""
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    made: list[Service] = []

    def check_ready(_timeout_s: float) -> None:
        assert "up" in (tmp_path / "log").read_text()

    def make(code: str) -> Service:
        command = [sys.executable, "-c", code]
        made.append(Service(Program("Sleeper", command, tmp_path / "log", check_ready), lock))
        return made[-1]

    yield make
    for service in made:
        service.stop()
    os.close(lock)


def test_starts_becomes_ready_and_stops(make_service: Callable[[str], Service]) -> None:
    service = make_service(SLEEPER)
    service.start()
    service.wait_until_ready(10)
    pid = service.pid
    assert not has_ended(pid)
    service.stop()
    assert has_ended(pid)
    assert not service.running


def test_restart_is_another_process(make_service: Callable[[str], Service]) -> None:
    service = make_service(SLEEPER)
    service.start()
    before = service.pid
    service.restart(10)
    assert service.pid != before
    assert has_ended(before)


def test_a_kill_is_noticed_with_the_logs_end(make_service: Callable[[str], Service]) -> None:
    service = make_service(SLEEPER)
    service.start()
    service.wait_until_ready(10)
    service.check()
    os.kill(service.pid, signal.SIGKILL)
    assert wait_until(lambda: not service.running)
    with pytest.raises(RuntimeFailedError, match=r"Sleeper has died \(exit status 137\).*\n  \| up"):
        service.check()
    with pytest.raises(RuntimeFailedError, match="not running"):
        service.kill()


def test_death_while_starting_shows_why(make_service: Callable[[str], Service]) -> None:
    service = make_service("import sys; sys.exit('no such disk')")
    service.start()
    with pytest.raises(RuntimeFailedError, match=r"ended while starting \(exit status 1\)(.|\n)*no such disk"):
        service.wait_until_ready(10)


def test_silence_has_a_time_limit(make_service: Callable[[str], Service]) -> None:
    service = make_service("import time; time.sleep(600)")
    service.start()
    with pytest.raises(RuntimeFailedError, match="did not answer within 0 s"):
        service.wait_until_ready(0.3)


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        program = Program("Ghost", ["/no/such/binary"], tmp_path / "log", lambda _: None)
        with pytest.raises(RuntimeFailedError, match=r"Ghost cannot be started(.|\n)*/no/such/binary"):
            Service(program, lock.fileno()).start()


def test_a_paused_program_can_be_stopped(make_service: Callable[[str], Service]) -> None:
    service = make_service(SLEEPER)
    service.start()
    service.wait_until_ready(10)
    pid = service.pid
    service.pause()
    service.stop()
    assert has_ended(pid)


def test_who_ignores_the_request_is_killed(make_service: Callable[[str], Service]) -> None:
    service = make_service(STUBBORN)
    service.start()
    service.wait_until_ready(10)
    pid = service.pid
    service.stop()
    assert has_ended(pid)


@pytest.mark.parametrize("last_words", ["", "os.fork() or time.sleep(60)"], ids=["alone", "fork_keeps_the_pipe"])
def test_nothing_outlives_a_killed_owner(tmp_path: Path, last_words: str) -> None:
    code = f"""
        import os, sys, time
        from pathlib import Path
        from sightstream.infra.runtime.service import Program, Service
        lock = os.open({str(tmp_path / "lock")!r}, os.O_RDWR | os.O_CREAT)
        command = [sys.executable, "-c", {SLEEPER!r}]
        service = Service(Program("Sleeper", command, Path({str(tmp_path / "log")!r}), print), lock)
        service.start()
        print(service.pid, service._guardian.pid, flush=True)
        {last_words}
        time.sleep(600)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True) as owner:
        assert owner.stdout is not None
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        owner.kill()
        try:
            assert len(pids) == 2
            assert wait_until(lambda: all(has_ended(pid) for pid in pids))
        finally:
            os.killpg(owner.pid, signal.SIGKILL)  # the fork


def test_the_child_does_not_outlive_a_killed_guardian(make_service: Callable[[str], Service]) -> None:
    if sys.platform != "linux":
        return  # there is no such request elsewhere
    service = make_service(SLEEPER)
    service.start()
    service.wait_until_ready(10)
    pid, guardian = service.pid, service._guardian
    assert guardian is not None
    guardian.kill()
    assert wait_until(lambda: has_ended(pid))


def test_a_program_writes_for_this_user_alone(make_service: Callable[[str], Service], tmp_path: Path) -> None:
    before = os.umask(0o022)
    service = make_service(f"import os; os.mkdir({str(tmp_path / 'made')!r}); {SLEEPER}")
    service.start()
    os.umask(before)
    service.wait_until_ready(10)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("made", "log")] == [0o700, 0o600]
