"""Runs installers: shows their output only when they fail, and retries when a registry fails for a moment."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from sightstream.infra.bootstrap.errors import SetupError

PAUSES_S = (2.0, 8.0, 20.0)


def run(command: Sequence[str], environment: Mapping[str, str] | None = None, folder: Path | None = None) -> None:
    """Run a command once, in `folder` or where this process is.

    Raises SetupError, with the end of its output, when it fails.
    """
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**_without_our_secrets(), **(environment or {})},
        cwd=folder,
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join(f"  | {line}" for line in done.stdout.splitlines()[-20:])
        raise SetupError(f"`{' '.join(command[:4])} ...` failed with exit status {done.returncode}:\n{tail}")


def _without_our_secrets() -> dict[str, str]:
    """Return this process's environment without the settings of Sightstream and of S3, which no installer needs."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("SIGHTSTREAM_", "AWS_"))}


def run_with_retries(command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """Run a command that talks to a package registry, several times with growing pauses."""
    for pause_s in PAUSES_S:
        try:
            return run(command, environment)
        except SetupError as error:
            print(f"{error}\nTrying again in {pause_s:.0f} s.", flush=True)  # noqa: T201
            time.sleep(pause_s)
    return run(command, environment)


def can_apt() -> bool:
    """Return True if we may install Debian packages ourselves."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def apt_install(*packages: str) -> None:
    """Install Debian packages after updating the package lists. Raises SetupError."""
    print(f"Installing {' '.join(packages)} (apt-get)", flush=True)  # noqa: T201
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run_with_retries(["apt-get", "update", "-qq"], quiet)
    run_with_retries(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], quiet)
