"""Tells a machine that is out of memory, threads, processes or files from a bug: no image is to blame for it."""

from __future__ import annotations

import errno

from sightstream.pipeline.errors import PipelineError, Retryable
from sightstream.pipeline.own_parts import LOCAL_RESOURCES
from sightstream.schemas.wire.dead_letter import Stage

_SHORTAGES = {errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOBUFS}
# What these mean depends on the call: they are shortages only where nobody expected them, as of fork and of files in
# memory. A socket says EAGAIN for a slow server.
_UNEXPECTED = {errno.EAGAIN, errno.ENOSPC}


def shortage(error: Exception, stage: Stage) -> Retryable | None:
    """Return how a request ends that met this error at `stage`; None when the machine lacks nothing."""
    if isinstance(error, MemoryError):
        return Retryable(stage, "this machine is out of memory", LOCAL_RESOURCES)
    if isinstance(error, OSError) and error.errno in _SHORTAGES | _UNEXPECTED:
        return Retryable(stage, f"this machine is short of something: {error.strerror}", LOCAL_RESOURCES)
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):  # CPython has no type for it
        return Retryable(stage, "this machine can start no more threads", LOCAL_RESOURCES)
    return None


def shortage_behind(error: PipelineError, stage: Stage) -> Retryable | None:
    """Return how a request ends whose error was translated from a shortage, such as "the host can't be reached"."""
    cause = error.__cause__ or error.__context__
    while cause is not None:
        if isinstance(cause, MemoryError) or (isinstance(cause, OSError) and cause.errno in _SHORTAGES):
            return shortage(cause, stage)
        cause = cause.__cause__ or cause.__context__
    return None
