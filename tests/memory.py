"""Reads the most memory that a process has used, from Linux's /proc."""

from __future__ import annotations

from pathlib import Path


def peak_mib(pid: int) -> float:
    """Return the peak of the resident memory of a running process, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (peak,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / 1024
