"""The lookup's data folder: one process at a time, and no table that belongs to another changelog."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sightstream.consumers.lookup.errors import LookupFailure
from sightstream.consumers.private_files import NotPrivate, make_private_folder, open_private, write_private

log = logging.getLogger(__name__)

_TABLES = "v1"  # Faust's own name for the folder of its tables
_CHANGELOG = "changelog-id"
_ADDRESS = "address"


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold the folder while the block runs; a killed process releases it.

    Raises LookupFailure when another process has it, or when it can't be used.
    """
    try:
        make_private_folder(folder)
        lock = open_private(folder / "lock", os.O_RDWR)
    except NotPrivate as error:
        raise LookupFailure(f"{error}; remove it, or set another data_dir") from None
    with os.fdopen(lock, "rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LookupFailure(f"another lookup uses {folder}; stop it, or set another data_dir") from None
        yield


def forget_other_changelog(folder: Path, changelog_id: str) -> None:
    """Delete local tables that were made from another changelog: their offsets mean nothing in this one."""
    file = folder / _CHANGELOG
    known = file.read_text(encoding="utf-8") if file.is_file() else ""
    if known and known != changelog_id:
        log.warning("%s: the changelog topic was created again; the table is rebuilt from Kafka", folder)
        shutil.rmtree(folder / _TABLES, ignore_errors=True)
    write_private(file, changelog_id)


@contextmanager
def announce_address(folder: Path, address: str) -> Iterator[None]:
    """Write down the address while the block runs, so that `sightstream lookup` finds a port that was picked freely."""
    file = folder / _ADDRESS
    write_private(file, address)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def read_address(folder: Path) -> str | None:
    """Return the announced address, None when no lookup runs there or it was killed before its first start ended."""
    file = folder / _ADDRESS
    return file.read_text(encoding="utf-8") if file.is_file() else None
