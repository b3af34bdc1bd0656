"""The look-up's folder: one process at a time, and no table that belongs to another changelog."""

from __future__ import annotations

import fcntl
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sightstream.consumers.lookup.errors import LookupFailed

log = logging.getLogger(__name__)

_TABLES = "v1"  # where Faust keeps them
_CHANGELOG = "changelog-id"
_ADDRESS = "address"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Raises LookupFailed when another process has the folder. A killed process lets go of it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LookupFailed(f"another look-up works in {folder}; stop it, or name another data_dir") from None
        yield


def forget_other_changelog(folder: Path, changelog_id: str) -> None:
    """Drops local tables that were made from another changelog: their offsets mean nothing in this one."""
    note = folder / _CHANGELOG
    known = note.read_text(encoding="utf-8") if note.is_file() else ""
    if known and known != changelog_id:
        log.warning("%s: the changelog was made again; the table is rebuilt from Kafka", folder)
        shutil.rmtree(folder / _TABLES, ignore_errors=True)
    note.write_text(changelog_id, encoding="utf-8")


@contextmanager
def announced(folder: Path, address: str) -> Iterator[None]:
    """Writes down where the look-up listens, for `sightstream lookup` to find when the port is a free one."""
    file = folder / _ADDRESS
    file.write_text(address, encoding="utf-8")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def announced_address(folder: Path) -> str | None:
    """None when no look-up runs there, or it was killed before its first start ended."""
    file = folder / _ADDRESS
    return file.read_text(encoding="utf-8") if file.is_file() else None
