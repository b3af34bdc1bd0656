"""A process takes from itself what decoding does not need, so that a file that takes it over finds little to use."""

from __future__ import annotations

import os
import resource
import signal


def confine(memory_bytes: int) -> None:
    """No new files or sockets, no core dump, no output.

    Its address space ends at `memory_bytes` (0: where it did). Signals for the whole group are the parent's to answer.
    For good: none of it can be taken back. What is still to be imported or opened must be so before.
    """
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.SIG_IGN)
    _silence()
    # Not RLIMIT_NPROC: the decoder of HEIC works on a thread of its own.
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_NOFILE):
        resource.setrlimit(limit, (0, 0))
    if memory_bytes:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _silence() -> None:
    """Decoders write to the error stream what hostile files make them write."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
