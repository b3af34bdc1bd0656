"""The dashboards are what Python says, and ask only for what is measured."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

import pytest

from sightstream.infra.dashboards.__main__ import DASHBOARDS, FOLDER, file_of, file_text
from sightstream.infra.dashboards.dashboard import Dashboard, as_document
from sightstream.infra.dashboards.panels import Query
from tests.infra.dashboards.measured import asked, measured

FROM_THE_SCRAPE = {"instance", "le"}  # labels that Prometheus adds

every_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each.name)


def queries(*dashboards: Dashboard) -> Iterator[Query]:
    panels = (panel for dashboard in dashboards for row in dashboard.rows for panel in row.panels)
    return (query for panel in panels for query in panel.queries)


@every_dashboard
def test_the_files_are_up_to_date(dashboard: Dashboard) -> None:
    written = file_of(dashboard).read_text(encoding="utf-8")
    assert written == file_text(dashboard), "run `python -m sightstream.infra.dashboards`"


def test_there_are_no_other_files() -> None:
    assert set(FOLDER.iterdir()) == set(map(file_of, DASHBOARDS))


def test_every_metric_that_is_asked_for_exists_and_every_one_that_exists_is_shown() -> None:
    assert set[str]().union(*(asked(query.expression) for query in queries(*DASHBOARDS))) == set(measured())


@pytest.mark.parametrize("expression", sorted({query.expression for query in queries(*DASHBOARDS)}))
def test_labels_exist_and_brackets_close(expression: str) -> None:
    known = FROM_THE_SCRAPE.union(*(measured()[name] for name in asked(expression)))
    grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
    selected = set(re.findall(r"[{,]\s*(\w+)\s*=", expression))
    assert grouped | selected <= known
    for opening, closing in ("()", "[]", "{}"):
        assert expression.count(opening) == expression.count(closing)


@every_dashboard
def test_legends_name_labels_that_the_query_keeps(dashboard: Dashboard) -> None:
    for query in queries(dashboard):
        named = set(re.findall(r"\{\{(\w+)\}\}", query.legend))
        kept = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", query.expression))))
        whole = not query.expression.startswith(("sum", "max", "min", "histogram_quantile"))
        assert named <= kept or whole, query


@every_dashboard
def test_panels_have_ids_of_their_own_and_do_not_overlap(dashboard: Dashboard) -> None:
    panels = as_document(dashboard)["panels"]
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


@every_dashboard
def test_importing_asks_for_the_data_source_and_a_folder_finds_one(dashboard: Dashboard) -> None:
    document = as_document(dashboard)
    (asked_for,) = document["__inputs"]
    assert asked_for["type"] == "datasource"
    assert asked_for["name"] in {variable["name"] for variable in document["templating"]["list"]}
    used = {panel["datasource"]["uid"] for panel in document["panels"] if "datasource" in panel}
    assert used == {f"${{{asked_for['name']}}}"}


@every_dashboard
def test_every_variable_that_is_used_can_be_chosen(dashboard: Dashboard) -> None:
    expressions = " ".join(query.expression for query in queries(dashboard))
    used = set(re.findall(r"\$([a-z]\w*)", expressions))
    assert used == {variable.name for variable in dashboard.variables}
    for variable in dashboard.variables:
        assert variable.of in measured()[variable.metric] | FROM_THE_SCRAPE
