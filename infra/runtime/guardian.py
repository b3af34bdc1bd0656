"""Runs one child process and ends it as soon as the process that asked for it has ended.

    python -I guardian.py LOCK_FD COMMAND...

The owner holds the other end of our standard input. End of file there means that the owner has stopped, crashed or
was killed with SIGKILL; in each case the guardian terminates the child's process group and, after a grace period,
kills it. It prints the child's process id as the only line and exits with the child's status. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys

GRACE_S = 6.0
OWNER_CHECK_S = 1.0
PR_SET_PDEATHSIG = 1


def main() -> int:
    lock_fd, command = int(sys.argv[1]), sys.argv[2:]
    owner = os.getppid()
    woken = _wake_on_signals()
    child = _start(command, lock_fd)
    os.write(sys.stdout.fileno(), f"{child.pid}\n".encode())
    while child.poll() is None:
        if _should_end(owner, woken):
            _end(child)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _wake_on_signals() -> int:
    """Return a pipe that becomes readable when a signal arrives and then holds the signal's number."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    return reader


def _start(command: list[str], lock_fd: int) -> subprocess.Popen[bytes]:
    # The child inherits the lock's descriptor, so the folder stays locked until the last process has ended.
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        stderr=sys.stderr.fileno(),
        process_group=0,
        pass_fds=[lock_fd],
        preexec_fn=_die_with_the_guardian if sys.platform == "linux" else None,  # noqa: PLW1509 (no threads here)
    )


def _die_with_the_guardian() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _should_end(owner: int, woken: int) -> bool:
    """Wait for the owner's end of file, a signal, or (a fork may hold the pipe open) another parent."""
    readable, _, _ = select.select([sys.stdin.fileno(), woken], [], [], OWNER_CHECK_S)
    signals = os.read(woken, 512) if woken in readable else b""
    return sys.stdin.fileno() in readable or signal.SIGTERM in signals or os.getppid() != owner


def _end(child: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGCONT):  # a paused child must run to end in order
        _signal_group(child, number)
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        _signal_group(child, signal.SIGKILL)
        child.wait()


def _signal_group(child: subprocess.Popen[bytes], number: int) -> None:
    # macOS reports "not permitted" for a group whose last process has just died.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


if __name__ == "__main__":
    raise SystemExit(main())
