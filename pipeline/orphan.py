"""Child processes that do not outlive their parent, even one that was killed."""

from __future__ import annotations

import os
import threading
from multiprocessing import parent_process
from multiprocessing.connection import wait

from sightstream.pipeline.child_signals import ignore_stops


def exit_with_parent(lifeline: int | None = None) -> None:
    """End this process when its parent is gone, and leave SIGINT and SIGTERM to the parent. Call once in a child.

    `lifeline` is a handle that becomes readable at the parent's end; a child of multiprocessing has one already.
    """
    ignore_stops()
    parent = parent_process()
    handle = lifeline if parent is None else parent.sentinel
    if handle is not None:
        threading.Thread(target=_exit_after, args=(handle,), name="exit-with-parent", daemon=True).start()


def _exit_after(handle: int) -> None:
    wait([handle])
    os._exit(1)
