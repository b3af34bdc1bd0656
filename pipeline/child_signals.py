"""Signals of child processes: a stop is for the parent, and an exit code says whether the child itself failed.

A supervisor signals the whole process group or control group. A child that obeyed would take the work in progress with
it, while the parent still drains. A child whose parent is gone ends by itself, without a signal.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

STOPS = (signal.SIGINT, signal.SIGTERM)
# A process gets these for what it does itself. Others, such as the SIGKILL of an operator or of a machine that is out
# of memory, come from outside and prove nothing about its work.
_OWN_FAILURES = {
    signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE, signal.SIGSYS, signal.SIGTRAP,
}  # fmt: skip


@contextmanager
def stops_deferred() -> Iterator[None]:
    """Start children inside: for them these signals wait until they call `ignore_stops`.

    The mask is this thread's alone: another thread of this process gets the signal, or this one when the block ends.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_stops() -> None:
    """Leave SIGINT and SIGTERM to the parent, those that came since the start included. Call on a main thread.

    Programs that this process starts ignore them, too.
    """
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)


def was_killed(exit_code: int) -> bool:
    """Return whether a signal from outside ended the child; `exit_code` is that of subprocess or multiprocessing."""
    return exit_code < 0 and -exit_code not in _OWN_FAILURES
