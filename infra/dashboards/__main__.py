"""`python -m sightstream.infra.dashboards`: writes the dashboard beside this file."""

from __future__ import annotations

import json
from pathlib import Path

from sightstream.infra.dashboards.dashboard import dashboard

FILE = Path(__file__).with_name("sightstream.json")


def file_text() -> str:
    """Return the file's content."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(file_text(), encoding="utf-8")
