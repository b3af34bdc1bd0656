"""The alerts fire in their cases and are silent in others, ask for what is measured, and lead to a page."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from sightstream.infra.bootstrap.prometheus import find_prometheus
from sightstream.infra.runtime.prometheus import ALERTS
from tests.infra.dashboards.measured import asked, measured

ROOT = Path(__file__).parents[3]
CASES = Path(__file__).with_name("cases.yml")
RUNBOOKS = ROOT / "docs" / "runbooks"


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return list(group["rules"])


def promtool(*arguments: str) -> None:
    command = [str(find_prometheus("promtool")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_file() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", str(ALERTS))


def test_every_case_is_as_it_says() -> None:
    promtool("test", "rules", str(CASES))


def test_every_alert_fires_in_a_case_and_is_silent_in_one() -> None:
    tests = [
        test for case in yaml.safe_load(CASES.read_text(encoding="utf-8"))["tests"] for test in case["alert_rule_test"]
    ]
    names = {rule["alert"] for rule in rules()}
    assert {test["alertname"] for test in tests if test.get("exp_alerts")} == names
    assert {test["alertname"] for test in tests if not test.get("exp_alerts")} == names


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_is_measured_and_names_its_severity(rule: dict[str, Any]) -> None:
    assert asked(rule["expr"]) <= set(measured())
    assert rule["labels"]["severity"] in ("critical", "warning")


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_alert_has_a_page_that_says_what_to_do(rule: dict[str, Any]) -> None:
    page = ROOT / rule["annotations"]["runbook_url"]
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {rule['alert']}\n")
    assert {"**Look**", "**Do**"} <= set(text.splitlines())
    row = f"| [{rule['alert']}]({page.name}) | {rule['labels']['severity']} |"
    assert row in (RUNBOOKS / "README.md").read_text(encoding="utf-8")


def test_there_is_no_page_without_an_alert() -> None:
    pages = {rule["annotations"]["runbook_url"] for rule in rules()}
    assert {f"docs/runbooks/{page.name}" for page in RUNBOOKS.glob("*.md")} - pages == {"docs/runbooks/README.md"}


def test_the_pages_name_no_metric_that_is_not_there() -> None:
    names = re.findall(r"`((?:sightstream|kafka)_[a-z_]+)", "".join(p.read_text() for p in RUNBOOKS.glob("*.md")))
    assert set(names) <= set(measured())
