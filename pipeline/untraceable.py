"""Keeps other processes of the same user out of this one's memory: it holds secrets and other people's images."""

from __future__ import annotations

import ctypes
import sys

_PR_SET_DUMPABLE = 4


def forbid_tracing() -> None:
    """Let no process of the same user read, write or trace this one, nor the system write its core. Root still may.

    A program that this process executes has to call it again. Does nothing where the system lacks it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, *map(ctypes.c_ulong, (0, 0, 0, 0)))
