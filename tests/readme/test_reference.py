"""The reference pages name exactly what the code has: reasons, metrics, commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from sightstream.infra.task_cost import ANSWER_TOKEN_S, LOOK_S, LOOK_TEXT_S, PROMPT_TOKEN_S
from sightstream.producers.tasks.read import ready_tasks
from sightstream.producers.tasks.task_file import TaskFile, TaskQuestion
from sightstream.schemas.wire.dead_letter import Reason
from tests.readme.cli_page import PAGE, cli_page
from tests.readme.pages import ROOT, text

REFERENCE = ROOT / "docs/reference"


def rows(page: str) -> list[list[str]]:
    """The cells of each table row whose first cell is code."""
    lines = re.findall(r"^\| (`.*) \|$", text(REFERENCE / page), re.MULTILINE)
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in lines]


def test_every_dead_letter_reason_has_its_cause_and_its_remedy() -> None:
    table = rows("dead-letter-reasons.md")
    assert sorted(row[0] for row in table) == sorted(f"`{reason}`" for reason in Reason)
    assert all(len(row) == 3 and all(row) for row in table)


def test_every_metric_is_listed_with_its_labels_and_unit() -> None:
    table = rows("metrics.md")
    listed = {row[0].strip("`"): tuple(re.findall(r"\w+", row[1])) for row in table}
    assert len(listed) == len(table)
    assert listed == dict(metrics())
    assert all(row[2] and row[3] for row in table)


def test_names_that_people_have_today_lead_to_metrics_that_exist() -> None:
    mapped = re.findall(r"^\| \w[^|]* \| `(llama_\w+)` \| (.*) \|$", text(REFERENCE / "metrics.md"), re.MULTILINE)
    assert [name for name, _ in mapped] == [
        "llama_request_total",
        "llama_request_latency_seconds",
        "llama_active_requests",
        "llama_gpu_memory_usage_gb",
    ]
    known = dict(metrics())
    for _, ours in mapped:
        found = re.findall(r"`(\w+_\w+)", ours)
        assert found
        assert known.keys() >= set(found)


def test_the_page_of_commands_is_up_to_date() -> None:
    assert text(PAGE) == cli_page(), "run `python -m tests.readme.cli_page`"


def test_every_key_of_a_task_file_is_listed() -> None:
    keys = [key for row in rows("tasks.md") for key in re.findall(r"`(\w+)`", row[0])]
    fields = [(field.alias or key) for model in (TaskFile, TaskQuestion) for key, field in model.model_fields.items()]
    assert keys[: len(fields)] == fields


def test_every_ready_task_is_listed() -> None:
    names = [row[0].strip("`") for row in rows("tasks.md")]
    ready = {path.stem for path in ready_tasks()}
    assert set(names[-len(ready) :]) == ready


def test_the_page_names_the_costs_that_the_estimate_adds_up() -> None:
    page = text(REFERENCE / "tasks.md")
    looks = [1000 * (LOOK_S[detail] + LOOK_TEXT_S[detail]) for detail in ("high", "low")]
    for milliseconds in (*looks, 1000 * PROMPT_TOKEN_S, 1000 * ANSWER_TOKEN_S):
        assert f"| {milliseconds:.4g} ms |" in page


def metrics() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Name and labels of every metric that a module named `metrics` defines, as Prometheus sees it."""
    for file in sorted(ROOT.glob("[!.]*/**/metrics.py")):
        if file.is_relative_to(ROOT / "tests") or file.is_relative_to(ROOT / "sightstream"):
            continue
        module = import_module("sightstream." + ".".join(file.relative_to(ROOT).with_suffix("").parts))
        for value in vars(module).values():
            if isinstance(value, Counter | Gauge | Histogram):
                yield prometheus_name(value), tuple(value._labelnames)
            elif type(value).__name__ == "Exported":
                yield value.name, value.labels


def prometheus_name(metric: MetricWrapperBase) -> str:
    """The name under which the metric is scraped."""
    (described,) = metric.describe()
    return described.name + ("_total" if described.type == "counter" else "")
