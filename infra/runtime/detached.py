"""Starts a runtime that outlives the command that asked for it, and stops one from another process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sightstream.consumers.private_files import open_private
from sightstream.infra.runtime.errors import RuntimeFailedError
from sightstream.infra.runtime.folder import RuntimeFolder
from sightstream.pipeline.child_environment import PYTHON, child_environment

START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 30.0
POLL_S = 0.05


def start_detached(path: Path, arguments: Sequence[str]) -> Path:
    """Run `sightstream up` in a session of its own, wait until it is ready, and return its settings file.

    Raises RuntimeFailedError with its error message when it cannot start.
    """
    folder = RuntimeFolder(path.resolve())
    folder.create()
    log = folder.log("up")
    with os.fdopen(open_private(log, os.O_WRONLY), "wb") as out:
        out.truncate()
        owner = subprocess.Popen(
            [sys.executable, "-m", "sightstream", "up", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=child_environment((*PYTHON, "SIGHTSTREAM_CONFIG", "SIGHTSTREAM_TOPICS_*")),
            start_new_session=True,
        )
    try:
        ready = _wait_until(lambda: owner.poll() is not None or folder.is_ready(owner.pid), START_TIMEOUT_S)
    except BaseException:  # an interrupt: leave no runtime behind that nobody knows of
        owner.terminate()
        raise
    if ready and owner.poll() is None:
        return folder.config_file
    owner.terminate()
    raise RuntimeFailedError(log.read_text(errors="replace").rpartition("sightstream: ")[2].strip())


def stop_owner(path: Path) -> bool:
    """End the process that owns the folder and everything it started; False if nobody owned it.

    Blocks until all have ended. Signals only the holder of the folder's lock. Raises RuntimeFailedError.
    """
    folder = RuntimeFolder(path.resolve())
    pid = folder.owner_pid()
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        if not _wait_until(folder.is_free, STOP_TIMEOUT_S) and folder.owner_pid() == pid:
            os.kill(pid, signal.SIGKILL)  # stuck; the guardians end its children
    if not _wait_until(folder.is_free, STOP_TIMEOUT_S):
        raise RuntimeFailedError(f"processes that use {folder.path} did not end; see {folder.path / 'logs'}")
    return pid is not None


def _wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True
