"""`sightstream results` as a person and a script see it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sightstream.consumers.store.database import Database
from sightstream.consumers.store.row import Record
from sightstream.consumers.store.rows import dead_letter_row, result_row
from sightstream.infra.cli.app import app
from sightstream.infra.errors import CommandError
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.dead_letter import RecordId
from tests.consumers.outcomes import dead_record, result

ESCAPE = "\x1b[31mred\x9b2J"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    headers = RecordId("q", 0, 0).headers()
    hostile = encode(result("r-0", "p-0", conclusion=f"A bag. {ESCAPE}\n[b]no[/b]"))
    with Database(tmp_path / "r.db") as database:
        database.write(
            [
                result_row(Record("t", 0, 0, 10, b"p-0", hostile, headers)),
                dead_letter_row(Record("d", 0, 0, 20, *dead_record("r-1", "p-1", RecordId("q", 0, 1)))),
            ],
            {},
        )
    return tmp_path / "r.db"


def run(path: Path, *options: str) -> tuple[int, str]:
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["results", "--path", str(path), *options])
    return done.exit_code, done.stdout


def test_json_lines_hold_the_whole_outcome(path: Path) -> None:
    code, out = run(path, "--json")
    dead, answered = (json.loads(line) for line in out.splitlines())
    assert code == 0
    assert (dead["status"], dead["reason"], dead["source"]["offset"]) == ("dead", "not_an_image", 1)
    assert answered["result"]["answer"]["conclusion"].startswith("A bag. \x1b[31m")


@pytest.mark.parametrize("options", [(), ("--json",), ("--product", "p-0")])
def test_no_control_character_reaches_the_terminal(path: Path, options: tuple[str, ...]) -> None:
    _, out = run(path, *options)
    assert "bag" in out
    assert [char for char in out if not char.isprintable() and char != "\n"] == []


def test_text_is_never_read_as_markup(path: Path) -> None:
    assert "[b]no[/b]" in run(path, "--product", "p-0")[1]


def test_nothing_found_is_exit_code_1(path: Path) -> None:
    assert run(path, "--product", "nobody") == (1, "")
    assert run(path, "--product", "nobody", "--json") == (1, "")


def test_count(path: Path) -> None:
    code, out = run(path, "--count", "--json")
    assert (code, json.loads(out)) == (0, {"answered": 1, "dead": 1, "unreadable": 0, "duplicates": 0})


def test_no_database_is_an_error_that_names_it(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["results", "--path", str(tmp_path / "none.db")])
    assert isinstance(done.exception, CommandError)
    assert "none.db" in str(done.exception)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    with Database(tmp_path / "many.db") as database:
        rows = (
            Record("t", 0, n, n, b"p", encode(result(f"request-{n:030}", f"product-{n:030}")), []) for n in range(25)
        )
        database.write([result_row(row) for row in rows], {})
    return tmp_path / "many.db"


def test_json_is_never_cut_short_and_a_table_says_that_it_is(many: Path) -> None:
    assert len(run(many, "--json")[1].splitlines()) == 25
    assert len(run(many, "--json", "--limit", "3")[1].splitlines()) == 3
    done = CliRunner().invoke(app, ["results", "--path", str(many)])
    assert "these are the newest 20; --limit shows more" in done.stderr
    assert CliRunner().invoke(app, ["results", "--path", str(many), "--limit", "20"]).stderr == ""


def test_ids_and_times_are_whole_on_a_narrow_terminal(many: Path) -> None:
    done = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["results", "--path", str(many), "--limit", "25"])
    assert all(f"request-{n:030}" in done.stdout and f"product-{n:030}" in done.stdout for n in range(25))
    assert done.stdout.count("T") >= 25
