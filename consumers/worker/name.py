"""A worker's name: unique among live workers, stable over restarts, so that its transactions can be fenced."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from sightstream.pipeline.errors import Fatal


@contextmanager
def worker_name(group: str, chosen: str | None) -> Iterator[str]:
    """`chosen`, or this host's name with the first free slot number. Held until left, or until this process ends.

    Raises Fatal when a live process of this machine has taken `chosen`.
    """
    folder = Path(tempfile.gettempdir()) / f"sightstream-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    names = iter([chosen]) if chosen else (f"{socket.gethostname()}-{slot}" for slot in count())
    for name in names:
        file = (folder / f"{_plain(group)}-{_plain(name)}.lock").open("w")
        with file:
            if _lock(file.fileno()):
                yield name
                return
    raise Fatal(f"another worker of this machine is named {chosen!r}; give each its own SIGHTSTREAM_WORKER_NAME")


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "_", name)
