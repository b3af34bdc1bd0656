"""The disks that are written to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from sightstream.infra.doctor.types import Fact, Finding, Items

MIN_FREE_BYTES = 2 * 1024**3
MIN_FREE_PERCENT = 3


def check_disks(folders: Mapping[str, Path], free: Callable[[Path], tuple[int, int]] | None = None) -> Items:
    """Look at the folder of each setting, or at what exists above it. `free` returns free and all bytes."""
    for setting, folder in folders.items():
        there = existing(folder)
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            yield Finding("folder-not-writable", f"{there} can't be written by this user; correct {setting}")
            continue
        left, size = (free or _free)(there)
        yield Fact(f"disk of {setting}", f"{there}: {left / 1024**3:.1f} of {size / 1024**3:.1f} GiB free")
        if left < MIN_FREE_BYTES or left * 100 < size * MIN_FREE_PERCENT:
            yield Finding(
                "disk-full",
                f"the disk of {there} has {left / 1024**3:.1f} GiB left; free some, or set {setting} to another disk",
            )


def existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    whole = folder.absolute()
    return next(path for path in (whole, *whole.parents) if path.exists())


def _free(folder: Path) -> tuple[int, int]:
    found = shutil.disk_usage(folder)
    return found.free, found.total
