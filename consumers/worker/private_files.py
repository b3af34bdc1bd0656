"""A folder and files of this user alone, also where others can write beside them and know our names."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from sightstream.pipeline.errors import Fatal


def private_folder(parent: Path | None = None) -> Path:
    """Return this user's folder in `parent`, or among the temporary ones; created where it is missing. Raises Fatal."""
    folder = (parent or Path(tempfile.gettempdir())) / f"sightstream-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        _check(folder, folder.lstat(), stat.S_ISDIR)
    except OSError as error:
        raise Fatal(f"the folder {folder} can't be used: {error.strerror}; set SIGHTSTREAM_WORKER_STATE_DIR") from error
    return folder


def open_private(path: Path, flags: int) -> int:
    """Open a file of this user alone, created where it is missing; follow no link. Raises Fatal."""
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Fatal(
            f"{path} can't be opened: {error.strerror}; remove it, or set SIGHTSTREAM_WORKER_STATE_DIR"
        ) from error
    try:
        _check(path, os.fstat(descriptor), stat.S_ISREG)
    except Fatal:
        os.close(descriptor)
        raise
    return descriptor


def _check(path: Path, found: os.stat_result, is_kind: Callable[[int], bool]) -> None:
    if not is_kind(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise Fatal(
            f"{path} is not this user's alone (owner {found.st_uid}, mode {stat.filemode(found.st_mode)}); remove it, "
            f"or set SIGHTSTREAM_WORKER_STATE_DIR to a folder of this user"
        )
