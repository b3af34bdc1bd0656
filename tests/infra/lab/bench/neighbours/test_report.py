"""What the measurement says, and when it calls a bar missed."""

from __future__ import annotations

import json

from sightstream.infra.lab.bench.neighbours.options import ALONE, FAR, MISSPELT, OUTAGE, NeighboursOptions
from sightstream.infra.lab.bench.neighbours.report import (
    PACED_ALONE,
    PACED_MISSPELT,
    PACED_TROUBLED,
    as_table,
    document,
    missed,
    ratios,
)
from sightstream.infra.lab.bench.neighbours.run import BASELINE, Measurement, Run, interleave


def measurement(outage: float = 100, misspelt: float = 100, far: float = 100, p99_s: float = 1) -> Measurement:
    """The machine halves its speed in the last two of three rounds."""

    def runs(rate: float, p99: float | None = None) -> list[Run]:
        return [Run(rate, p99), Run(rate / 2, p99), Run(rate / 2, p99)]

    found = {ALONE: runs(100), OUTAGE: runs(outage), MISSPELT: runs(misspelt), FAR: runs(far), BASELINE: runs(100)}
    paced = {PACED_ALONE: runs(100, 1), PACED_TROUBLED: runs(100, p99_s), PACED_MISSPELT: runs(misspelt, 1)}
    return Measurement(NeighboursOptions(), found | paced)


def test_each_round_is_compared_with_itself() -> None:
    assert ratios(measurement(outage=95)) == {OUTAGE: 0.95, MISSPELT: 1, PACED_MISSPELT: 1, FAR: 1, PACED_TROUBLED: 1}


def test_every_bar_can_be_missed() -> None:
    assert missed(measurement()) == []
    assert len(missed(measurement(outage=89))) == 1
    assert len(missed(measurement(misspelt=94))) == 1
    assert len(missed(measurement(far=96))) == 1
    assert len(missed(measurement(p99_s=3.1))) == 1


def test_without_a_baseline_the_far_store_has_no_bar() -> None:
    found = measurement(far=1)
    del found.runs[BASELINE]
    assert FAR not in ratios(found)
    assert missed(found) == []


def test_the_document_is_json_and_the_table_has_every_case() -> None:
    found = measurement()
    assert json.loads(json.dumps(document(found)))["missed"] == []
    assert as_table(found).row_count == len(found.runs)


def test_the_others_are_spread_evenly() -> None:
    mixed = interleave(["a"] * 90, ["b"] * 10)
    assert sorted(mixed) == ["a"] * 90 + ["b"] * 10
    assert all(mixed[start : start + 20].count("b") in (1, 2, 3) for start in range(0, 81))
    assert interleave(["a"], []) == ["a"]
