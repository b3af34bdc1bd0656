"""Builds distributions of this tree offline, with the setuptools of the running environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[3]
FOLDERS = ("sightstream", "schemas", "producers", "pipeline", "consumers", "infra")
FILES = ("pyproject.toml", "README.md", "LICENSE")


def copy_tree(into: Path) -> Path:
    """Copy what a clone holds for a build, links as links, so that building leaves nothing in the real tree."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, into / folder, symlinks=True, ignore=ignored)
    for file in FILES:
        shutil.copy(ROOT / file, into / file)
    return into


def build(tree: Path, kind: str, out: Path) -> Path:
    """Run one hook of the build backend (`wheel`, `sdist` or `editable`) in `tree` and return the file that it made."""
    out.mkdir(parents=True, exist_ok=True)
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(out)!r})"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = out.iterdir()
    return file


def unpack_sdist(sdist: Path, into: Path) -> Path:
    """Unpack an sdist and return its top folder."""
    with tarfile.open(sdist) as archive:
        archive.extractall(into, filter="data")
    (top,) = into.iterdir()
    return top
