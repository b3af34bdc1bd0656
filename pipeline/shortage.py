"""Tells a machine that is out of memory, threads, processes or files from a bug: no image is to blame for it."""

from __future__ import annotations

import errno

from sightstream.pipeline.errors import Retryable
from sightstream.pipeline.own_parts import LOCAL_RESOURCES
from sightstream.schemas.wire.dead_letter import Stage

_ERRNOS = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC}


def shortage(error: Exception, stage: Stage) -> Retryable | None:
    """Return how a request ends that met this error at `stage`; None when the machine lacks nothing."""
    if isinstance(error, MemoryError):
        return Retryable(stage, "this machine is out of memory", LOCAL_RESOURCES)
    if isinstance(error, OSError) and error.errno in _ERRNOS:
        return Retryable(stage, f"this machine is short of something: {error.strerror}", LOCAL_RESOURCES)
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):  # CPython has no type for it
        return Retryable(stage, "this machine can start no more threads", LOCAL_RESOURCES)
    return None
