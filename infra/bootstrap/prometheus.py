"""Finds Prometheus, or unpacks Debian's package of it into the user's cache: no root is needed, no service starts."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from sightstream.consumers.private_files import make_private_folder
from sightstream.infra.bootstrap.commands import can_apt, run, run_with_retries
from sightstream.infra.bootstrap.errors import SetupError
from sightstream.infra.bootstrap.kafka_jars import cache_folder as jar_folder

PACKAGE = "prometheus"
PROGRAMS = ("prometheus", "promtool")
HINT = "install it (Debian: apt-get install prometheus; macOS: brew install prometheus)"


def find_prometheus(program: str = PROGRAMS[0]) -> Path:
    """Return `prometheus` or `promtool`: the one on PATH, or the one that the set-up unpacked. Raises SetupError."""
    unpacked = unpacked_folder() / "usr" / "bin" / program
    found = shutil.which(program) or (unpacked if os.access(unpacked, os.X_OK) else None)
    if found is None:
        raise SetupError(f"`{program}` of Prometheus is missing: {HINT}")
    return Path(found)


def unpacked_folder() -> Path:
    """Return the folder that the package is unpacked to, beside Kafka's jars; all clones use it."""
    return jar_folder().with_name(PACKAGE)


def ensure_prometheus() -> None:
    """Fetch Prometheus where it is missing. Raises SetupError.

    Nothing but the tests of alerts and dashboards needs it, and `make demo` only shows it.
    """
    try:
        for program in PROGRAMS:
            find_prometheus(program)
    except SetupError:
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            raise
        _fetch(unpacked_folder())


def _fetch(folder: Path) -> None:
    """Download the package, which apt verifies by Debian's signatures, and unpack it."""
    print("Fetching Prometheus (apt-get)", flush=True)  # noqa: T201
    make_private_folder(folder.parent)
    with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
        if can_apt():  # others rely on the lists of packages that are there
            run_with_retries(["apt-get", "update", "-qq"])
        run(["apt-get", "download", "-qq", PACKAGE], folder=Path(draft))
        (package,) = Path(draft).glob("*.deb")
        run(["dpkg-deb", "--extract", str(package), f"{draft}/unpacked"])
        _move(Path(draft) / "unpacked", folder)


def _move(unpacked: Path, folder: Path) -> None:
    """Move the files to their folder in one step; another set-up may do the same at this moment."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        unpacked.rename(folder)
    except OSError:
        if not folder.exists():
            raise
