"""The comparison runs on a real broker, on a small scale, and its plain side commits without transactions."""

from __future__ import annotations

import pytest

from sightstream.infra.lab.bench.transactions.options import PLAIN, TRANSACTIONS, TransactionsOptions
from sightstream.infra.lab.bench.transactions.run import compare

pytestmark = pytest.mark.real


def test_both_sides_answer_everything() -> None:
    options = TransactionsOptions(results=1300, paced=40, paced_per_s=100, partitions=2, rounds=1)
    found = compare(options, lambda _: None)
    for side in (TRANSACTIONS, PLAIN):
        (run,) = found.runs[side]
        assert min(run.results_per_s, run.cpu_s_per_result, run.p95_s) > 0
