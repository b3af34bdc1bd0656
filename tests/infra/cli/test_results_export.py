"""`sightstream results` with conditions, and as CSV and JSON lines."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from pydantic import JsonValue
from typer.testing import CliRunner

from sightstream.consumers.store.database import Database
from sightstream.consumers.store.row import Record
from sightstream.consumers.store.rows import dead_letter_row, result_row
from sightstream.infra.cli import results_export
from sightstream.infra.cli.app import app
from sightstream.infra.errors import CommandError
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.dead_letter import RecordId
from sightstream.schemas.wire.question_answer import QuestionAnswer
from sightstream.schemas.wire.result_v2 import AnyResult
from tests.consumers.outcomes import answer, dead_record, result, result_v2

SKIPPED = QuestionAnswer(id="look", question="?", status="skipped")


def fill(path: Path, *results: AnyResult) -> Path:
    rows = [result_row(Record("t", 0, n, n, b"k", encode(each), [])) for n, each in enumerate(results)]
    dead = dead_letter_row(Record("d", 0, 0, 99, *dead_record("r-dead", "p-dead", RecordId("q", 0, 9))))
    with Database(path) as database:
        database.write([*rows, dead], {})
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return fill(
        tmp_path / "r.db",
        result_v2("r-0", "p-0", answer("kind", "mug", 0.75), answer("look", {"colour": "red", "tags": ["a"]}, 0.5)),
        result_v2("r-1", "p-1", answer("kind", "cup", 0.9), SKIPPED, task="basics"),
        result("r-2", "p-2", conclusion="A bag."),
    )


def run(path: Path, *options: str) -> tuple[int, str]:
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["results", "--path", str(path), *options])
    return done.exit_code, done.stdout


def rows(out: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(out, newline="")))


def test_csv(path: Path) -> None:
    code, out = run(path, "--format", "csv")
    assert code == 0
    assert out.splitlines()[0] == (
        "product_id,request_id,status,reason,at,answer,kind,kind_confidence,look,look_status,look.colour,look.tags,"
        "look_confidence"
    )
    dead, old, skipped, full = rows(out)
    assert (dead["status"], dead["reason"], dead["kind"]) == ("dead", "not_an_image", "")
    assert (old["answer"], old["product_id"], old["at"]) == ("A bag.", "p-2", "2026-01-02T12:00:00+00:00")
    assert (skipped["kind"], skipped["look_status"]) == ("cup", "skipped")
    assert (full["look.colour"], full["look.tags"], full["kind_confidence"]) == ("red", '["a"]', "0.75")


def test_jsonl_keeps_kinds_of_values(path: Path) -> None:
    code, out = run(path, "--format", "jsonl", "--status", "answered")
    old, skipped, full = map(json.loads, out.splitlines())
    assert code == 0
    assert out.isascii()
    assert old["answer"] == "A bag."
    assert (skipped["look"], skipped["look_status"]) == (None, "skipped")
    assert (full["look.tags"], full["look_confidence"]) == (["a"], 0.5)


def test_filters_and_orders(path: Path) -> None:
    def found(*options: str) -> list[str]:
        return [row["request_id"] for row in rows(run(path, "--format", "csv", *options)[1])]

    assert found("--where", "kind=mug") == ["r-0"]
    assert found("--where", "kind!=mug", "--where", "kind=cup") == ["r-1"]
    assert found("--where", "look.colour=red") == ["r-0"]
    assert found("--min-confidence", "0.8") == ["r-1"]
    assert found("--least-sure", "5") == ["r-0", "r-1"]
    assert found("--task", "basics") == ["r-1"]
    assert found("--limit", "2") == ["r-dead", "r-2"]


def test_all_rows_are_exported_while_a_table_shows_twenty(tmp_path: Path) -> None:
    path = fill(tmp_path / "many.db", *(result_v2(f"r-{n}", "p", answer("kind", "mug")) for n in range(50)))
    assert len(rows(run(path, "--format", "csv")[1])) == 51
    assert len(run(path, "--format", "jsonl")[1].splitlines()) == 51
    assert len(run(path, "--json")[1].splitlines()) == 51


def test_the_table_shows_each_answer(path: Path) -> None:
    _, out = run(path)
    assert "kind: mug (75.0%), look.colour: red, look.tags: [" in out
    assert "look: (skipped)" in out
    assert "A bag." in out


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\n=1", "\uff1d1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_text_is_a_formula_for_a_spreadsheet(tmp_path: Path, text: str) -> None:
    path = fill(tmp_path / "f.db", result_v2("r", "=p", answer("kind", text), answer("look", {text: -5})))
    (row,) = [row for row in rows(run(path, "--format", "csv")[1]) if row["status"] == "answered"]
    assert (row["kind"], row["product_id"]) == (f"'{text}", "'=p")
    assert [value for name, value in row.items() if name.startswith("look.")] == ["-5"]  # a number stays one
    exact = [json.loads(line) for line in run(path, "--format", "jsonl")[1].splitlines()]
    assert text in [row.get("kind") for row in exact]


@pytest.mark.parametrize("output", ["csv", "jsonl", "table"])
def test_no_control_character_reaches_the_terminal(tmp_path: Path, output: str) -> None:
    hostile = 'a\x1b[2J\x9b\x00\r"b",\u2028c\U0001f469\u200d\U0001f373'
    path = fill(tmp_path / "h.db", result_v2(hostile.replace("\x00", "").translate(dict.fromkeys(range(32))).replace(
        "\x9b", ""), "p", answer("q", {hostile: hostile})))  # fmt: skip
    code, out = run(path, "--format", output, "--status", "answered")
    assert code == 0
    assert [char for char in out if (ord(char) < 32 or 127 <= ord(char) < 160) and char != "\n"] == []
    assert "\\u001b[2J" in out or "\\x1b[2J" in out
    if output == "csv":
        assert "\U0001f469\u200d\U0001f373" in out  # one sign of several characters stays whole


@pytest.mark.parametrize("value", [10**400, 0.1, -0.0, True, None, [], {}, "", {"": {"": 1}}])
def test_every_value_is_exported(tmp_path: Path, value: JsonValue) -> None:
    path = fill(tmp_path / "v.db", result_v2("r", "p", answer("q", value)))
    for output in ("csv", "jsonl", "table"):
        assert run(path, "--format", output, "--status", "answered")[0] == 0


def test_too_many_columns_are_refused_before_a_line_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results_export, "MAX_COLUMNS", 50)
    path = fill(tmp_path / "w.db", *(result_v2("r", "p", answer("q", {f"field{n}": 1})) for n in range(50)))
    done = CliRunner().invoke(app, ["results", "--path", str(path), "--format", "csv"])
    assert isinstance(done.exception, CommandError)
    assert "--format jsonl" in str(done.exception)
    assert done.stdout == ""
    assert run(path, "--format", "jsonl")[0] == 0


def test_nothing_found_is_exit_code_1_and_a_wrong_question_is_named(path: Path) -> None:
    for output in ("table", "csv", "jsonl"):
        done = CliRunner().invoke(app, ["results", "--path", str(path), "--format", output, "--where", "colour=red"])
        assert (done.exit_code, done.stdout) == (1, "")
        assert "no result has a question colour; there are: answer, kind, look" in done.stderr
    assert "no result has" not in CliRunner().invoke(app, ["results", "--path", str(path), "--where", "kind=x"]).output


@pytest.mark.parametrize(
    "options",
    [
        ("--where", "colour"),
        ("--where", "a b=c"),
        ("--format", "xml"),
        ("--format", "csv", "--json"),
        ("--format", "csv", "--count"),
        ("--least-sure", "3", "--limit", "3"),
        ("--min-confidence", "1.5"),
        ("--product", "\udcff"),
        ("--where", "kind=\udcff"),
    ],
)
def test_wrong_use(path: Path, options: tuple[str, ...]) -> None:
    assert run(path, *options)[0] == 2


def test_a_count_of_conditions(path: Path) -> None:
    assert json.loads(run(path, "--count", "--json", "--where", "kind=mug")[1])["answered"] == 1
