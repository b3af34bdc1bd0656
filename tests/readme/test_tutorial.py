"""The tutorial's commands run as they stand on the page, one after the other, and show what the page promises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.readme.pages import ROOT, blocks

TUTORIAL = ROOT / "docs/tutorials/first-hour.md"

# However the page ends, nothing of it keeps running.
CLEAN_UP = "status=$?; kill $(jobs -p) 2>/dev/null || true; sightstream down || true; exit $status"


def commands() -> list[str]:
    """All shell blocks but the first, which is `make demo`; the environment is active already."""
    first, *others = blocks(TUTORIAL, "sh")
    assert first == "make demo\n"
    return [block.replace(". .venv/bin/activate\n", "") for block in others]


@pytest.mark.real
@pytest.mark.timeout(900)
def test_every_command_of_the_tutorial_works(tmp_path: Path) -> None:
    (tmp_path / "infra").symlink_to(ROOT / "infra")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SIGHTSTREAM_")}
    environment = clean | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    script = f"set -eu\ntrap '{CLEAN_UP}' EXIT\n" + "".join(commands())
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "24 answered, 1 dead" in done.stdout
    assert "not_an_image" in done.stdout
    assert "48 answered, 2 dead" in done.stdout
