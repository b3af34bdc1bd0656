"""What the measurement of lag says, and when it calls a bar missed."""

from __future__ import annotations

import json

from sightstream.infra.lab.bench.lag.held import Comparison
from sightstream.infra.lab.bench.lag.many import Many
from sightstream.infra.lab.bench.lag.options import LagOptions
from sightstream.infra.lab.bench.lag.report import as_table, document, missed
from sightstream.infra.lab.bench.lag.run import Measurement
from sightstream.infra.lab.bench.lag.scraped import Scraped

COUNTED = Comparison("g", truth=100, said=101, estimated=False, age_error_s=0.5)
ESTIMATED = Comparison("g", truth=1000, said=1010, estimated=True, age_error_s=0)


def measurement(*held: Comparison, cpu_s: float = 1, ages_s: float = 50) -> Measurement:
    return Measurement(
        LagOptions(), list(held), Scraped(102, 2000, seconds=120, cpu_s=cpu_s), Many(10_000, 4, ages_s, cpu_percent=20)
    )


def test_a_good_run_misses_no_bar() -> None:
    found = measurement(COUNTED, ESTIMATED)
    assert missed(found) == []
    assert json.loads(json.dumps(document(found)))["missed"] == []
    assert as_table(found).row_count == len(document(found)["figures"])


def test_each_bar_that_is_missed_is_named() -> None:
    wrong = Comparison("g", truth=100, said=98, estimated=False, age_error_s=2)
    far = Comparison("g", truth=1000, said=985, estimated=True, age_error_s=0)
    assert missed(measurement(wrong, far, cpu_s=2.4, ages_s=61)) == [
        "largest error when counted: 2.00 records, not <= 1",
        "largest error of an estimate: 1.50 %, not <= 1",
        "largest error of an age: 2.00 s, not <= 1",
        "processor time, scraped: 2.00 % of a core, not <= 1",
        "until all ages are right: 61.00 s, not <= 60",
    ]


def test_a_part_that_was_left_out_has_no_figures() -> None:
    assert document(Measurement(LagOptions(), []))["figures"] == {}
