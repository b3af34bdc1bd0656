"""Python environments of programs that stand beside ours, and whose packages differ from ours."""

from __future__ import annotations

import sys
from pathlib import Path

from sightstream.infra.bootstrap.commands import run, run_with_retries
from sightstream.infra.bootstrap.environment import ROOT, ensure_uv, uv_environment

TOOLS = ROOT / ".tools"


def ensure_environment(name: str, pins: Path) -> Path:
    """Return the Python of an environment with the packages of `pins`; the first call downloads them.

    Blocks meanwhile. Raises SetupError.
    """
    folder = TOOLS / name
    python = folder / "bin" / "python"
    stamp = folder / "requirements.txt"
    if stamp.exists() and stamp.read_bytes() == pins.read_bytes():
        return python
    uv = ensure_uv()
    run([uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(folder)])
    install = [uv, "pip", "install", "--quiet", "--python", str(python), "--require-hashes", "-r", str(pins)]
    run_with_retries(install, uv_environment())
    stamp.write_bytes(pins.read_bytes())
    return python
