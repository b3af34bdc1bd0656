"""The comparison runs on a real broker and a real store, on a small scale."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sightstream.infra.cli.app import app
from sightstream.infra.lab.bench.feed import run
from sightstream.infra.lab.bench.feed.measurement import Run, Snapshot
from sightstream.infra.lab.bench.feed.options import FeedOptions
from sightstream.infra.lab.bench.feed.process_tree import Usage
from sightstream.infra.lab.bench.feed.report import document, method_lines, summary
from sightstream.infra.lab.bench.feed.run import Comparison, compare
from sightstream.infra.lab.bench.feed.systems import OURS, PLAIN_LOOP, SYSTEMS, SystemUnderTest

SMALL = FeedOptions(images=1000, distinct=6, side_px=300, partitions=2, timeout_s=60)


@pytest.fixture(autouse=True)
def _plain_loop_needs_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "ensure_environment", lambda *_: Path(sys.executable))


@pytest.mark.real
def test_ours_beside_a_plain_loop_and_one_that_dies() -> None:
    dead = SystemUnderTest("dead", "ends at once", "none", "no_such_script.py")
    reported: list[str] = []
    found = compare(SMALL, [OURS, PLAIN_LOOP, dead], reported.append)
    assert len(found.failures) == 1, found.failures
    assert "no_such_script.py" in found.failures[0]
    for system in (OURS, PLAIN_LOOP):
        line = summary(found, system)
        assert line["images_per_s"] > 0
        assert line["cpu_s_per_image"] > 0
        assert line["duplicates"] == 0
    assert found.runs["dead"] == []
    assert summary(found, OURS)["stage_seconds"].keys() == {"fetch", "decode", "infer", "total"}
    assert json.loads(json.dumps(document(found)))["systems"]["plain loop"]["times_slower_than_ours"] > 0
    assert any("failed: dead" in line for line in method_lines(found))


def test_the_command_lists_the_systems_and_refuses_others() -> None:
    listed = CliRunner().invoke(app, ["bench", "feed", "--list"])
    assert all(system.name in listed.output for system in SYSTEMS)
    refused = CliRunner().invoke(app, ["bench", "feed", "--only", "nobody"])
    assert refused.exit_code != 0
    assert "'nobody'" in str(refused.exception)


def test_each_name_can_be_given_to_only() -> None:
    assert not [system.name for system in SYSTEMS if "," in system.name]


def test_a_system_that_failed_in_every_round_has_no_figures() -> None:
    nothing = Comparison(SMALL, [OURS], runs={OURS.name: []})
    assert summary(nothing, OURS)["images_per_s"] is None
    assert summary(nothing, OURS)["cpu_over_pillow"] is None


def test_cpu_is_compared_with_all_that_pillow_took_in_the_run() -> None:
    runs = [ran(cpu_s=cpu_s) for cpu_s in (3.0, 5.0, 4.0)]
    found = Comparison(SMALL, [OURS], runs={OURS.name: runs}, pillow_cpu_s=[0.02, 0.05, 0.02, 0.02, 0.01, 0.03])
    line = summary(found, OURS)
    assert line["cpu_s_per_image"] == pytest.approx(0.04)
    assert line["cpu_over_pillow"] == pytest.approx(2)


def ran(cpu_s: float) -> Run:
    """Return a run of 100 images."""
    return Run(Snapshot(0, 20, Usage(1, 0, 1)), Snapshot(1, 120, Usage(1 + cpu_s, 0, 1)), 0, {})
