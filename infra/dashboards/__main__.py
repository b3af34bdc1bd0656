"""`python -m sightstream.infra.dashboards`: writes a file for each dashboard into grafana/."""

from __future__ import annotations

import json
from pathlib import Path

from sightstream.infra.dashboards.cost import COST
from sightstream.infra.dashboards.dashboard import Dashboard, as_document
from sightstream.infra.dashboards.exactly_once import EXACTLY_ONCE
from sightstream.infra.dashboards.lag import LAG
from sightstream.infra.dashboards.overview import OVERVIEW
from sightstream.infra.dashboards.worker import WORKER

FOLDER = Path(__file__).with_name("grafana")
DASHBOARDS = (OVERVIEW, LAG, WORKER, EXACTLY_ONCE, COST)


def file_of(dashboard: Dashboard) -> Path:
    return FOLDER / f"{dashboard.name}.json"


def file_text(dashboard: Dashboard) -> str:
    """Return the file's content."""
    return json.dumps(as_document(dashboard), indent=2) + "\n"


if __name__ == "__main__":
    for each in DASHBOARDS:
        file_of(each).write_text(file_text(each), encoding="utf-8")
