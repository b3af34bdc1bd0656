"""`sightstream bench engine` as it is typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sightstream.infra.cli.app import app
from sightstream.infra.lab.bench.engine.figures import Figure, PartReport, Report
from sightstream.infra.lab.bench.engine.parts import PARTS
from sightstream.infra.lab.bench.engine.run import write_json

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[5]


def typed(*words: str) -> tuple[int, str, str]:
    """Exit code, standard output, and whatever else was said."""
    done = CliRunner().invoke(app, ["bench", "engine", *words])
    return done.exit_code, done.stdout, done.stderr + str(done.exception)


def test_it_measures_on_this_machine(tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    sizes = ["tokens=6", "photographs=6", "single_requests=1", "decode_tokens=20", "decode_slots=2", "memory_images=12"]
    command = [sys.executable, "-m", "sightstream", "bench", "engine", "--model", "random-small", "--json", str(file)]
    command += ["--parts", "slots,decode,prefill,single,memory", "--setting", "max_batch=2", "--setting", "device=cpu"]
    command += [word for size in sizes for word in ("--size", size)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    document = json.loads(file.read_text(encoding="utf-8"))
    assert {name: part["status"] for name, part in document["parts"].items()} == dict.fromkeys(
        ("slots", "decode", "prefill", "single", "memory"), "done"
    )
    figures = [figure for part in document["parts"].values() for figure in part["figures"]]
    assert all(figure["value"] is not None and figure["method"] for figure in figures)
    assert document["model"]["identity"]["name"] == "random-small"
    assert document["machine"]["device"] == "cpu"
    assert document["command"]["sizes"]["tokens"] == 6
    lacking = {figure["name"] for figure in document["derived"] if figure["value"] is None}
    assert lacking == {"times_the_tutorial", "times_the_stock_batch", "share_of_roofline"}
    assert "images_per_s" in done.stdout
    assert "slots: done" in done.stderr


def test_parts_are_listed() -> None:
    code, said, _ = typed("--list")
    assert code == 0
    assert all(part.name in said for part in PARTS)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--parts", "slotz"], "unknown parts"),
        (["--size", "tokens"], "NAME=VALUE"),
        (["--size", "tokenz=1"], "unknown sizes"),
        (["--setting", "max_batch=0"], "max_batch"),
        (["--setting", "batch=1"], "batch"),
        (["--budget", "soon"], "number of seconds"),
        (["--with", "nowhere.json"], "nowhere.json"),
    ],
)
def test_wrong_words_are_told_before_anything_is_loaded(words: list[str], told: str) -> None:
    code, _, said = typed("--parts", "none", *words)
    assert code != 0
    assert told in said


def test_earlier_runs_are_put_together_and_a_failed_part_shows_in_the_exit_code(tmp_path: Path) -> None:
    command: dict[str, Any] = {"settings": {}, "sizes": {}}
    rate = (Figure("images_per_s", 12.0, "1/s", "measured"),)
    write_json(Report(command, parts={"slots": PartReport("slots", "done", rate)}), tmp_path / "one.json")
    slow = (Figure("images_per_s", 0.1, "1/s", "measured"),)
    write_json(Report(command, parts={"seed": PartReport("seed", "done", slow)}), tmp_path / "two.json")
    words = ["--parts", "none", "--with", str(tmp_path / "one.json"), "--json", "-"]
    code, out, _ = typed(*words, "--with", str(tmp_path / "two.json"))
    assert code == 0
    document = json.loads(out)
    assert list(document["parts"]) == ["seed", "slots"]
    assert document["derived"][0]["value"] == pytest.approx(120)
    write_json(Report(command, parts={"seed": PartReport("seed", "failed", why="no")}), tmp_path / "two.json")
    code, _, said = typed(*words, "--with", str(tmp_path / "two.json"))
    assert code == 1
    assert "missing: seed: failed: no" in said


def test_nothing_of_kafka_is_needed() -> None:
    """It runs where only the model's packages are."""
    modules = [
        f"sightstream.infra.lab.bench.engine.{path.stem}"
        for path in sorted((ROOT / "infra" / "lab" / "bench" / "engine").glob("*.py"))
        if not path.stem.startswith("__")
    ]
    foreign = {"confluent_kafka", "faust", "aiokafka", "consumers", "producers"}
    code = f"import sys, {', '.join(modules)}; print(*(set(sys.modules) & {foreign!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []
