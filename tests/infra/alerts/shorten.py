"""Shortens the durations of the alerts, so that a test need not wait for a quarter of an hour."""

from __future__ import annotations

import re
from pathlib import Path

from sightstream.infra.runtime.prometheus import ALERTS

SECONDS = {"s": 1, "m": 60, "h": 3600}


def shorten(rules: str, factor: int) -> str:
    """Divide every duration, and the accepted wait of 600 s."""

    def shorter(found: re.Match[str]) -> str:
        return f"{found[1]}{max(1, int(found[2]) * SECONDS[found[3]] // factor)}s"

    return re.sub(r"(\[|for: |offset )(\d+)([smh])\b", shorter, rules).replace("> 600", f"> {600 // factor}")


def write_shortened(folder: Path, factor: int) -> Path:
    """Write the alerts with shorter durations, and return the file."""
    file = folder / "shortened.yml"
    file.write_text(shorten(ALERTS.read_text(encoding="utf-8"), factor), encoding="utf-8")
    return file
