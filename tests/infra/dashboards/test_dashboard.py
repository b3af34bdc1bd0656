"""The dashboard is what Python says, and asks only for what is measured."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

import pytest
from prometheus_client import Counter, Gauge, Histogram

from sightstream.consumers import metrics as consumer_metrics
from sightstream.infra.dashboards.__main__ import FILE, file_text
from sightstream.infra.dashboards.dashboard import ROWS, dashboard
from sightstream.pipeline import metrics as pipeline_metrics

NAME = re.compile(r"\b(?:sightstream|kafka)_[a-z_]+\b")
SUFFIXES: dict[type, str] = {Counter: "_total", Gauge: "", Histogram: "_bucket"}
FROM_THE_SCRAPE = {"instance", "le"}  # labels that Prometheus adds


def measured() -> dict[str, set[str]]:
    """Every metric's name, as a query writes it, with its labels."""
    found: dict[str, set[str]] = {}
    for value in (*vars(consumer_metrics).values(), *vars(pipeline_metrics).values()):
        if isinstance(value, consumer_metrics.Exported):
            found[value.name] = set(value.labels)
        elif type(value) in SUFFIXES:
            found[value._name + SUFFIXES[type(value)]] = set(value._labelnames)
    return found


def expressions() -> Iterator[str]:
    return (query.expression for row in ROWS for panel in row.panels for query in panel.queries)


def test_the_file_is_up_to_date() -> None:
    assert FILE.read_text(encoding="utf-8") == file_text(), "run `python -m sightstream.infra.dashboards`"


def test_every_metric_that_is_asked_for_exists_and_every_one_that_exists_is_shown() -> None:
    asked = {name for expression in expressions() for name in NAME.findall(expression)}
    assert asked == set(measured())


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_labels_exist_and_brackets_close(expression: str) -> None:
    known = FROM_THE_SCRAPE.union(*(measured()[name] for name in NAME.findall(expression)))
    grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
    selected = set(re.findall(r"[{,]\s*(\w+)\s*=", expression))
    assert grouped | selected <= known
    for opening, closing in ("()", "[]", "{}"):
        assert expression.count(opening) == expression.count(closing)


def test_legends_name_labels_that_the_query_keeps() -> None:
    for row in ROWS:
        for panel in row.panels:
            for query in panel.queries:
                named = set(re.findall(r"\{\{(\w+)\}\}", query.legend))
                kept = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", query.expression))))
                whole = not query.expression.startswith(("sum", "max", "min", "histogram_quantile"))
                assert named <= kept or whole, query


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert all(0 <= x < 24 for x, _ in cells)
    tops = [panel["gridPos"]["y"] for panel in panels]
    assert all(one <= next_one for one, next_one in pairwise(tops))
