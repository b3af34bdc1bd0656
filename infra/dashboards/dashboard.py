"""Builds Grafana's JSON for a whole dashboard: its data source, its variables, its panels."""

from __future__ import annotations

from dataclasses import dataclass

from sightstream.infra.dashboards.panels import DATASOURCE, DATASOURCE_VARIABLE, Json, Row, layout

TAG = "sightstream"


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of a dashboard, one of a metric's label values; `default` None stands for all of them."""

    name: str
    label: str
    metric: str
    of: str
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard. Its file is `name`.json."""

    name: str
    title: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()


GROUP = Variable("group", "Consumer group", "kafka_consumergroup_lag_sum", "consumergroup", "sightstream-workers")
# Only workers have series of this one; those without labels are 0 in every process.
WORKER_INSTANCE = Variable("instance", "Worker", "sightstream_worker_commits_total", "instance")


def as_document(dashboard: Dashboard) -> Json:
    """Return the dashboard for Grafana 10 and newer.

    Importing it asks for the data source. Where Grafana reads it from a folder nothing asks, and the first Prometheus
    is used: the variable has the name of that input.
    """
    return {
        "__inputs": [_input()],
        "__requires": [
            {"type": "grafana", "id": "grafana", "name": "Grafana", "version": "10.0.0"},
            {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"},
            {"type": "panel", "id": "stat", "name": "Stat", "version": ""},
            {"type": "panel", "id": "timeseries", "name": "Time series", "version": ""},
        ],
        "uid": f"{TAG}-{dashboard.name}",
        "title": f"Sightstream: {dashboard.title}",
        "tags": [TAG, "kafka"],
        "timezone": "browser",
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_datasource(), *map(_variable, dashboard.variables)]},
        "annotations": {"list": []},
        "links": [{"type": "dashboards", "title": "Sightstream", "tags": [TAG], "asDropdown": True, "keepTime": True}],
        "panels": layout(dashboard.rows),
    }


def _input() -> Json:
    return {
        "name": DATASOURCE_VARIABLE,
        "label": "Prometheus",
        "description": "The Prometheus that scrapes the workers, the store, the lookup and the lag exporter.",
        "type": "datasource",
        "pluginId": "prometheus",
        "pluginName": "Prometheus",
    }


def _datasource() -> Json:
    return {"name": DATASOURCE_VARIABLE, "type": "datasource", "label": "Data source", "query": "prometheus"}


def _variable(variable: Variable) -> Json:
    query = f"label_values({variable.metric}, {variable.of})"
    default = variable.default
    return {
        "name": variable.name,
        "type": "query",
        "label": variable.label,
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": variable.name},
        "definition": query,
        "current": {"text": default, "value": default} if default else {"text": "All", "value": "$__all"},
        "includeAll": default is None,
        "multi": default is None,
        "refresh": 2,
        "sort": 1,
    }
