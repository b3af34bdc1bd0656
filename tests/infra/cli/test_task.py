"""`sightstream task`: what it lists, shows and checks, and how it ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sightstream.infra.cli.app import app, main
from sightstream.producers.tasks.read import read_task, ready_tasks
from tests.producers.tasks.files import TWO_STAGES, one_question, write_task


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["task", *map(str, words)])


def test_ready_tasks_are_listed_with_what_they_are_for() -> None:
    listed = json.loads(run("list", "--json").stdout)
    assert listed == {path.stem: read_task(path).description for path in ready_tasks()}
    lines = run("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(listed)


def test_show_prints_the_file_to_begin_ones_own_from() -> None:
    (path,) = (path for path in ready_tasks() if path.stem == "moderation")
    assert run("show", "moderation").stdout == path.read_text(encoding="utf-8")


def test_show_as_json_prints_what_is_asked_with_keys_in_order(tmp_path: Path) -> None:
    shown = json.loads(run("show", write_task(tmp_path), "--json").stdout)
    assert (shown["name"], shown["columns"], shown["detail"]) == ("two-stages", ["title"], "low")
    assert shown["questions"][1]["when"] == {"question": "category", "in": ["shirt"]}
    assert list(shown["questions"][1]["response_format"]["json_schema"]["schema"]) == ["type", "properties", "required"]


@pytest.mark.parametrize("name", [path.stem for path in ready_tasks()])
def test_every_ready_task_passes(name: str) -> None:
    done = run("check", name, "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["formats_compiled"]
    assert report["cost"] is None
    assert report["gpu_hours"] == pytest.approx(report["gpu_s_per_request"] * 1_000_000 / 3600)


def test_the_cost_follows_the_price_and_the_number_of_requests() -> None:
    report = json.loads(run("check", "moderation", "--json", "--requests", "7200", "--gpu-hour-price", "3").stdout)
    assert report["cost"] == pytest.approx(6 * report["gpu_s_per_request"])


def test_a_person_sees_each_question_and_the_cost(tmp_path: Path) -> None:
    done = run("check", write_task(tmp_path), "--gpu-hour-price", "2.5")
    assert done.exit_code == 0
    for word in ("category", "choice", "shirt", "json_schema", "two-stages is valid", "title", "GPU-hours, which cost"):
        assert word in done.stdout


@pytest.mark.parametrize("words", [["check"], ["show"], ["show", "--json"]])
@pytest.mark.parametrize("name", ["no-such-task", "none.toml", "bad.toml"])
def test_a_problem_ends_with_2_and_one_line(
    words: list[str],
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.toml").write_text(TWO_STAGES.replace("detail", "details"))
    monkeypatch.setattr(sys, "argv", ["sightstream", "task", *words, name])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("sightstream: ")
    assert name in line


def test_without_the_workers_packages_the_formats_are_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sightstream.pipeline.constraints.format_check", None)
    done = run("check", "moderation")
    assert done.exit_code == 0
    assert "install sightstream[worker] to compile" in done.stdout


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ('{ type = "object", colour = 1 }', "colour"),
        ('{ type = "array", items = { type = "string", pattern = "(?=a)b" } }', "pattern"),
    ],
)
def test_a_format_that_a_worker_refuses_is_named_with_its_question(
    schema: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_task(tmp_path, one_question(f'text = "?"\nschema = {schema}'))
    monkeypatch.setattr(sys, "argv", ["sightstream", "task", "check", str(file)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert " q: " in line
    assert problem in line


@pytest.mark.parametrize("option", ["--question", "--max-tokens", "--temperature", "--top-p", "--seed"])
def test_nothing_of_what_a_task_says_may_be_given_beside_it(option: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("product_id,uri\n")
    done = CliRunner().invoke(app, ["publish", str(tmp_path / "a.csv"), "--task", "moderation", option, "1"])
    assert done.exit_code == 2
    assert option in done.output
    assert "the task says what is asked" in done.output
