"""A worker's name: unique among live workers and stable over restarts, so that its transactions can be fenced."""

from __future__ import annotations

import fcntl
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from sightstream.consumers.worker.state_folder import StateFolder
from sightstream.pipeline.errors import Fatal


@contextmanager
def reserve_name(group_id: str, configured: str | None, folder: StateFolder) -> Iterator[str]:
    """Yield `configured`, or this host's name with the first free instance number, reserved while the block runs.

    The system releases the name of a process that ends. Raises Fatal when a live process of this machine has it.
    """
    names = iter([configured]) if configured else (f"{socket.gethostname()}-{instance}" for instance in count())
    for name in names:
        with os.fdopen(folder.open(f"{file_stem(group_id, name)}.lock", os.O_RDWR), "rb") as file:
            if _lock(file.fileno()):
                yield name
                return
    raise Fatal(f"another worker of this machine is named {configured!r}; give each its own SIGHTSTREAM_WORKER_NAME")


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def file_stem(group_id: str, name: str) -> str:
    """Return what the files of this worker are called, without a suffix."""
    return f"{_plain(group_id)}-{_plain(name)}"


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "_", name)
