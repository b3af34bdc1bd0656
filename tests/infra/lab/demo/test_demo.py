"""The demo runs as a user runs it, with fewer images."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from sightstream.infra.lab.demo.attributes import Attribute, print_reliability, right_fractions
from sightstream.infra.lab.demo.report import Reconciliation
from sightstream.infra.lab.demo.shop import shop_images

ROOT = Path(__file__).parents[4]


def test_a_seed_gives_the_same_shop_again() -> None:
    first, again = (list(shop_images(7, 12, "b")) for _ in range(2))
    assert [image.body for image in first] == [image.body for image in again]
    assert sum(image.labels is None for image in first) == 5
    assert [image.body for image in first] != [image.body for image in shop_images(8, 12, "b")]


def test_three_of_four_images_are_asked_the_task() -> None:
    asked = [image.request for image in shop_images(7, 12, "b") if image.labels is not None]
    assert sum(request.task is not None for request in asked) == 9
    assert {request.schema_version for request in asked if request.task} == {2}


def test_values_are_as_often_right_as_they_are() -> None:
    values = [("mug", "mug"), ("mug", "hat"), (None, "hat"), ("tie", "tie")]
    found = [Attribute("a.jpg", "kind", value, true, 0.9) for value, true in values]
    found.append(Attribute("a.jpg", "count", 2, 2, None))
    assert right_fractions(found) == {"kind": 0.5, "count": 1.0}


def test_reliability_is_printed_by_confidence() -> None:
    out = StringIO()
    found = [
        Attribute("a.jpg", "kind", "mug", true, sure) for true, sure in (("mug", 1.0), ("mug", 0.995), ("hat", 0.6))
    ]
    print_reliability(Console(file=out, width=100), found)
    rows = [line.replace("│", " ").split() for line in out.getvalue().splitlines() if " to " in line]
    assert [row[3:] for row in rows] == [["1", "60.0%", "0.0%"], ["2", "99.8%", "100.0%"]]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"results": 7}, "published = results + dead letters"),
        ({"duplicates": 1}, "duplicates = 0"),
        ({"store_rows": 9}, "rows in the store = published"),
        ({"looked_up": 2}, "the lookup knows the products"),
    ],
)
def test_a_run_that_is_not_balanced_names_the_equation(change: dict[str, int], problem: str) -> None:
    good = {
        "published": 10,
        "results": 8,
        "dead_letters": 2,
        "duplicates": 0,
        "store_rows": 10,
        "looked_up": 3,
        "looked_up_of": 3,
    }
    assert Reconciliation(**good).problems == []
    assert Reconciliation(**good).balanced
    assert Reconciliation(**(good | change)).problems == [problem]
    assert not Reconciliation(**(good | change)).balanced


@pytest.mark.real
def test_a_small_demo_is_balanced(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sightstream", "demo", "--images", "24", "--dir", str(tmp_path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Prometheus: http://127.0.0.1:" in done.stderr
    report = json.loads(done.stdout)
    assert (report["published"], report["results"], report["dead_letters"]) == (29, 24, 5)
    assert report["problems"] == []
    assert report["accuracy"]["kind"] > 0.8
    assert min(report["attributes"][name] for name in ("kind", "colour", "pattern", "count")) > 0.8
