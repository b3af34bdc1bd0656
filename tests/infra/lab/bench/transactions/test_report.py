"""What the comparison of commits says, and when it calls a bar missed."""

from __future__ import annotations

import json

import pytest

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.transactions.options import PLAIN, TRANSACTIONS, TransactionsOptions
from sightstream.infra.lab.bench.transactions.report import document, method_lines, missed
from sightstream.infra.lab.bench.transactions.run import Comparison, Run
from sightstream.infra.lab.bench.transactions.workload import check_options


def comparison(ours: list[float], plain: list[float]) -> Comparison:
    runs = {TRANSACTIONS: [Run(rate, 0.001, 0.4) for rate in ours], PLAIN: [Run(rate, 0.002, 0.2) for rate in plain]}
    return Comparison(TransactionsOptions(), runs)


def test_the_ratio_is_the_median_of_the_rounds_and_not_of_the_sides() -> None:
    """The machine halves its speed in the last two rounds."""
    found = document(comparison([1900, 1800, 900], [2000, 1000, 1000]))
    assert found["ratios"] == pytest.approx({"results_per_s": 0.95, "cpu_s_per_result": 0.5, "p95_s": 2})
    assert found["sides"][TRANSACTIONS]["results_per_s"] == 1800
    assert json.loads(json.dumps(found))["missed"] == []


def test_each_bar_that_is_missed_is_named() -> None:
    assert missed(comparison([2000], [2000])) == []
    assert missed(comparison([1600], [2000])) == ["80% of the plain worker's results/s, less than 85%"]
    assert missed(comparison([990], [1000])) == ["990 results/s, less than 1000"]
    assert "missed: 990 results/s, less than 1000" in method_lines(comparison([990], [1000]))


def test_a_backlog_that_gives_no_rate_is_refused() -> None:
    with pytest.raises(CommandError, match="ask for more"):
        check_options(TransactionsOptions(results=100))
