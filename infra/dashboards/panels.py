"""Builds Grafana's JSON for the few kinds of panels that we use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

GRID_COLUMNS = 24
DATASOURCE_VARIABLE = "DS_PROMETHEUS"
DATASOURCE = {"type": "prometheus", "uid": f"${{{DATASOURCE_VARIABLE}}}"}

Kind = Literal["stat", "timeseries"]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression and the legend of its series, in which Grafana fills in `{{label}}`."""

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel. `unit` is Grafana's name for it, `width` counts of 24 columns, `height` counts grid rows."""

    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: Kind = "timeseries"
    width: int = 8
    height: int = 8
    help: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading, from left to right."""

    title: str
    panels: tuple[Panel, ...] = field(default_factory=tuple)


def stat(title: str, expression: str, unit: str = "short", help: str = "") -> Panel:
    """Return a small panel with one number."""
    return Panel(title, (Query(expression),), unit, "stat", width=4, height=4, help=help)


def layout(rows: tuple[Row, ...]) -> list[Json]:
    """Return every row and panel with its position on the grid."""
    positioned: list[Json] = []
    top = 0
    for row in rows:
        positioned.append(_row(row, len(positioned) + 1, top))
        top += 1
        left = height = 0
        for panel in row.panels:
            if left + panel.width > GRID_COLUMNS:
                left, top, height = 0, top + height, 0
            positioned.append(_panel(panel, len(positioned) + 1, left, top))
            left, height = left + panel.width, max(height, panel.height)
        top += height
    return positioned


def _row(row: Row, identity: int, top: int) -> Json:
    position = {"x": 0, "y": top, "w": GRID_COLUMNS, "h": 1}
    return {"id": identity, "type": "row", "title": row.title, "collapsed": False, "gridPos": position, "panels": []}


def _panel(panel: Panel, identity: int, left: int, top: int) -> Json:
    return {
        "id": identity,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.help,
        "datasource": DATASOURCE,
        "gridPos": {"x": left, "y": top, "w": panel.width, "h": panel.height},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": _options(panel.kind),
        "targets": [_target(query, letter) for query, letter in zip(panel.queries, "ABCDEF", strict=False)],
    }


def _options(kind: Kind) -> Json:
    if kind == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "value"}
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}


def _target(query: Query, letter: str) -> Json:
    return {"refId": letter, "datasource": DATASOURCE, "expr": query.expression, "legendFormat": query.legend}
