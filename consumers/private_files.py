"""Folders and files of this user alone, also where others can write beside them and know our names.

Everything that Sightstream keeps on a disk is opened here: results and addresses hold secrets, and a name that others
know can be taken before we come.
"""

from __future__ import annotations

import logging
import os
import stat
from functools import cache
from pathlib import Path

log = logging.getLogger(__name__)

ROOT_UID = 0


class NotPrivate(OSError):
    """A folder or file can't be used; the message says which and why, and the caller adds what to set instead."""


def make_private_folder(folder: Path) -> None:
    """Create a folder, and what is missing above it, for this user alone. Raises NotPrivate.

    One that exists may be wider, as a mounted volume is: then a warning is logged.
    """
    try:
        _create(folder)
        link = folder.lstat()
        found = folder.stat()
    except OSError as error:
        raise NotPrivate(f"the folder {folder} can't be used: {error.strerror}") from error
    if stat.S_ISLNK(link.st_mode) and link.st_uid not in (ROOT_UID, os.getuid()):
        raise NotPrivate(f"{folder} is a link of another user ({link.st_uid})")
    _warn_if_wide(folder, found)


def _create(folder: Path) -> None:
    """Create each missing folder with its mode: Path.mkdir would give the parents the usual one."""
    if folder.is_dir():
        return
    if not folder.parent.exists():
        _create(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)


def hold_own_folder(folder: Path) -> int:
    """Return a descriptor of a folder that is this user's alone, created where it is missing. Raises NotPrivate.

    For a name that is known to all in a folder where all may write. Files are then opened relative to the descriptor,
    since the folder itself could be swapped.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise NotPrivate(f"the folder {folder} can't be used: {error.strerror}") from error
    found = os.fstat(descriptor)
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        os.close(descriptor)
        raise NotPrivate(f"{folder} is not this user's alone ({_owner_and_mode(found)})")
    return descriptor


def open_private(path: Path, flags: int, folder: int | None = None) -> int:
    """Open a regular file, created for this user alone where it is missing. Raises NotPrivate.

    Neither follows a link nor waits for a pipe; `folder` is the descriptor that `path.name` is relative to. A file that
    exists is not truncated: do that to the descriptor. A wider one is refused inside a held folder, and otherwise
    logged.
    """
    secure = flags | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    name = path if folder is None else path.name
    try:
        descriptor = os.open(name, secure, 0o600, dir_fd=folder)
    except OSError as error:
        raise NotPrivate(f"{path} can't be opened: {error.strerror}") from error
    try:
        _check_file(path, os.fstat(descriptor), strict=folder is not None)
    except NotPrivate:
        os.close(descriptor)
        raise
    return descriptor


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read, completely or not at all. Raises NotPrivate."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        draft.unlink(missing_ok=True)
        with os.fdopen(open_private(draft, os.O_WRONLY | os.O_EXCL), "w", encoding="utf-8") as out:
            out.write(text)
        draft.replace(path)
    except OSError as error:
        raise NotPrivate(f"{path} can't be written: {error.strerror or error}") from error


def _check_file(path: Path, found: os.stat_result, strict: bool) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise NotPrivate(f"{path} is not a regular file")
    if strict and (found.st_uid != os.getuid() or found.st_mode & 0o022):
        raise NotPrivate(f"{path} is not this user's alone ({_owner_and_mode(found)})")
    _warn_if_wide(path, found)


def _warn_if_wide(path: Path, found: os.stat_result) -> None:
    if found.st_uid not in (ROOT_UID, os.getuid()) or found.st_mode & 0o077:
        _warn(path, _owner_and_mode(found))


@cache
def _warn(path: Path, why: str) -> None:
    log.warning("other users can get at %s (%s), which may hold secrets: chmod go= %s", path, why, path)


def _owner_and_mode(found: os.stat_result) -> str:
    return f"owner {found.st_uid}, mode {stat.filemode(found.st_mode)}"
