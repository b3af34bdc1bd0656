"""The demo runs as a user runs it, with fewer images."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sightstream.infra.lab.demo.report import Reconciliation
from sightstream.infra.lab.demo.shop import shop_images

ROOT = Path(__file__).parents[4]


def test_a_seed_gives_the_same_shop_again() -> None:
    first, again = (list(shop_images(7, 12, "b")) for _ in range(2))
    assert [image.body for image in first] == [image.body for image in again]
    assert sum(image.labels is None for image in first) == 5
    assert [image.body for image in first] != [image.body for image in shop_images(8, 12, "b")]


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
    report = json.loads(done.stdout)
    assert (report["published"], report["results"], report["dead_letters"]) == (29, 24, 5)
    assert report["problems"] == []
    assert report["accuracy"]["kind"] > 0.8
