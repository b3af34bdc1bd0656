"""The Triton kernels, on Triton's interpreter, in a process of their own: Triton reads the switch once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_the_kernels_equal_their_plain_twins() -> None:
    checks = Path(__file__).with_name("kernel_checks.py")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", str(checks)]
    done = subprocess.run(
        command, check=False, env=os.environ | {"TRITON_INTERPRET": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "27 passed" in done.stdout
