"""A process that gives up what decoding does not need, so that a file that takes it over can do little."""

from __future__ import annotations

import os
import resource

from sightstream.pipeline.child_signals import ignore_stops
from sightstream.pipeline.core_dumps import forbid_core_dumps
from sightstream.pipeline.decode.syscall_filter import install_filter


def sandbox(memory_bytes: int) -> str:
    """Give up new files and sockets, other processes, core dumps and output, for good.

    Import and open everything that is needed before. The address space is limited to `memory_bytes` (0: no new limit).
    SIGINT and SIGTERM are left to the parent. Return why the system refused the filter of system calls, or "": without
    it new files and sockets are given up only as far as the limits go, and other processes not at all.
    """
    ignore_stops()
    _silence()
    forbid_core_dumps()
    # Not RLIMIT_NPROC: the HEIC decoder starts a thread.
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    if memory_bytes:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    return install_filter()


def _silence() -> None:
    """Discard the error stream: a hostile file can make a decoder write anything to it."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    os.close(devnull)
