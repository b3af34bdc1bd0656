"""Dashboards that people already have work with our lag exporter."""

from __future__ import annotations

import re

import pytest

from tests.infra.dashboards.measured import measured
from tests.infra.dashboards.peoples_dashboards import EXPRESSIONS, OF_THE_SCRAPE


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_lag_exporter_serves_what_they_ask_for(expression: str) -> None:
    (name,) = re.findall(r"\bkafka_\w+", expression)
    asked = set(re.findall(r"[{,]\s*(\w+)\s*[!=]", expression))
    asked |= {label.strip() for group in re.findall(r"by ?\(([^)]*)\)", expression) for label in group.split(",")}
    assert asked - OF_THE_SCRAPE <= measured()[name]
