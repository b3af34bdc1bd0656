"""Shortened alerts are the alerts, but for their durations."""

from __future__ import annotations

from tests.infra.alerts.shorten import shorten


def test_all_durations_and_the_accepted_wait_are_shortened() -> None:
    rule = "expr: max(x[10m]) > 600 or (y unless y offset 1h) > 5\nfor: 2m"
    assert shorten(rule, 20) == "expr: max(x[30s]) > 30 or (y unless y offset 180s) > 5\nfor: 6s"
