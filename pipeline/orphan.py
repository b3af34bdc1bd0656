"""Child processes that do not outlive their parent, even one that was killed."""

from __future__ import annotations

import multiprocessing
import os
import threading

from sightstream.pipeline.child_signals import ignore_stops


def exit_with_parent() -> None:
    """End this process when its parent is gone, and leave SIGINT and SIGTERM to the parent. Call once in a child."""
    ignore_stops()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent,), name="exit-with-parent", daemon=True).start()


def _exit_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
