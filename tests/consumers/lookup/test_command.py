"""`sightstream lookup` as a person and a script see it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sightstream.consumers.lookup.entry import ResultPosition, make_entry
from sightstream.consumers.lookup.folder import announce_address
from sightstream.consumers.lookup.web import Pages, serve_pages
from sightstream.infra.cli.app import app
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.question_answer import QuestionAnswer
from tests.consumers.lookup.test_web import Table
from tests.consumers.outcomes import answer, result, result_v2

HOSTILE = result("r-1", "p-1", conclusion="A bag.\x1b[2J\x9b")
ENTRY = make_entry(ResultPosition("a", 0, 3), b"p-1", encode(HOSTILE), [])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    config = tmp_path / "config.toml"
    config.write_text(f'[lookup]\nport = 0\ndata_dir = "{tmp_path}"\n')
    monkeypatch.setenv("SIGHTSTREAM_CONFIG", str(config))
    return tmp_path


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["lookup", *arguments])
    return done.exit_code, done.stdout


def run_beside(folder: Path, table: Table, *arguments: str) -> tuple[int, str]:
    async def serve() -> tuple[int, str]:
        async with serve_pages(Pages(table), 0) as address:
            with announce_address(folder, address):
                return await asyncio.to_thread(run, *arguments)

    return asyncio.run(serve())


def test_found(folder: Path) -> None:
    code, out = run_beside(folder, Table({"p-1": ENTRY}), "p-1")
    assert (code, "A bag." in out) == (0, True)
    assert [char for char in out if not char.isprintable() and char != "\n"] == []


def test_found_as_json(folder: Path) -> None:
    code, out = run_beside(folder, Table({"p-1": ENTRY}), "p-1", "--json")
    assert (code, json.loads(out)["result"]["answer"]["conclusion"]) == (0, "A bag.\x1b[2J\x9b")
    assert out.strip().isprintable()


def test_the_answers_of_version_2(folder: Path) -> None:
    skipped = QuestionAnswer(id="damage", question="?", status="skipped")
    look = answer("look", {"colour": "red\x1b[2J", "price.total": None}, 0.5, {"/colour": 0.975})
    made = result_v2("r-2", "p-1", answer("kind", "mug", 0.75), look, skipped)
    entry = make_entry(ResultPosition("a", 0, 4), b"p-1", encode(made), [])
    code, out = run_beside(folder, Table({"p-1": entry}), "p-1")
    assert code == 0
    lines = dict(line.split(None, 1) for line in out.splitlines())
    assert lines["kind"] == "mug (75.0%)"
    assert lines["look.colour"] == "red\\x1b[2J (97.5%)"
    assert lines["damage"] == "(skipped)"
    assert lines["image"] == "s3://shop/1.jpg"
    document = json.loads(run_beside(folder, Table({"p-1": entry}), "p-1", "--json")[1])
    assert document["result"] == json.loads(encode(made))


def test_unknown_is_1_and_not_answering_is_3(folder: Path) -> None:
    assert run_beside(folder, Table({}), "p-1") == (1, "")
    assert run_beside(folder, Table({}, why="recovering"), "p-1") == (3, "")
    assert run("p-1") == (3, "")


def test_a_product_or_serve_but_not_both() -> None:
    assert run()[0] == 2
    assert run("p-1", "--serve")[0] == 2
