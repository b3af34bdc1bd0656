"""The Python environment of the baselines, whose pins of confluent-kafka differ from ours."""

from __future__ import annotations

import sys
from pathlib import Path

from sightstream.infra.bootstrap.commands import run, run_with_retries
from sightstream.infra.bootstrap.environment import ROOT, ensure_uv, uv_environment
from sightstream.infra.lab.bench.feed.systems import BASELINES

FOLDER = ROOT / ".tools" / "baselines"


def ensure_baselines() -> Path:
    """Return the environment's Python; the first call makes it and downloads packages. Raises SetupError."""
    python = FOLDER / "bin" / "python"
    pins = BASELINES / "requirements.txt"
    stamp = FOLDER / "requirements.txt"
    if stamp.exists() and stamp.read_bytes() == pins.read_bytes():
        return python
    uv = ensure_uv()
    run([uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(FOLDER)])
    install = [uv, "pip", "install", "--quiet", "--python", str(python), "--require-hashes", "-r", str(pins)]
    run_with_retries(install, uv_environment())
    stamp.write_bytes(pins.read_bytes())
    return python
