"""The environment in which the peers run: their pins of confluent-kafka are not ours."""

from __future__ import annotations

import sys
from pathlib import Path

from sightstream.infra.bootstrap.commands import run, run_patiently
from sightstream.infra.bootstrap.environment import ROOT, ensure_uv, uv_environment
from sightstream.infra.lab.bench.feed.contestants import PEERS

FOLDER = ROOT / ".tools" / "peers"


def ensure_peers() -> Path:
    """Its Python; made at the first call, which downloads packages. Raises SetupError."""
    python = FOLDER / "bin" / "python"
    pins = PEERS / "requirements.txt"
    stamp = FOLDER / "requirements.txt"
    if stamp.exists() and stamp.read_bytes() == pins.read_bytes():
        return python
    uv = ensure_uv()
    run([uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(FOLDER)])
    install = [uv, "pip", "install", "--quiet", "--python", str(python), "--require-hashes", "-r", str(pins)]
    run_patiently(install, uv_environment())
    stamp.write_bytes(pins.read_bytes())
    return python
