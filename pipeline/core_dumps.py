"""Switches off core dumps: they would write secrets and other people's images to a disk."""

from __future__ import annotations

import resource

# One byte is too small for a file, and tells Linux to start no program that collects cores; with 0 it would start it.
_NO_CORE_BYTES = 1


def forbid_core_dumps() -> None:
    """Let the system write no core of this process and of those that it starts, for good."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    most = _NO_CORE_BYTES if hard == resource.RLIM_INFINITY else min(_NO_CORE_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))
