"""Bounds the memory of a child process that works on hostile input."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

from sightstream.pipeline.core_dumps import forbid_core_dumps


def limit_growth(memory_bytes: int) -> None:
    """Let this process map so many bytes more than it has now, for good; write no core of it.

    The system ends it before others when the machine's memory is short.
    """
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + memory_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    forbid_core_dumps()
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
