"""The table of answers as a person sees it."""

from __future__ import annotations

import pytest

from sightstream.infra.answers.table import has_answer, print_result
from sightstream.schemas.wire.question_answer import QuestionAnswer
from tests.consumers.outcomes import answer, result, result_v2

LOOK = answer("look", {"colour": "red", "size": {"w": 3}}, 0.5, {"/colour": 0.987, "/size/w": 0.25})
SKIPPED = QuestionAnswer(id="damage", question="?", status="skipped", detail="category was not mug")


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def rows(out: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if line.startswith("│")]


def test_a_row_for_each_question_and_each_field(capsys: pytest.CaptureFixture[str]) -> None:
    print_result(result_v2("r", "p", answer("kind", "mug", 0.999), LOOK, SKIPPED))
    assert rows(capsys.readouterr().out) == [
        ["kind", "mug", "99.9%", "answered"],
        ["look", "", "50.0%", "answered"],
        ["look.colour", "red", "98.7%", ""],
        ["look.size.w", "3", "25.0%", ""],
        ["damage", "category was not mug", "", "skipped"],
    ]


def test_null_is_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    print_result(result_v2("r", "p", answer("price", None)))
    assert rows(capsys.readouterr().out) == [["price", "null", "", "answered"]]


@pytest.mark.parametrize("hostile", ["A bag.\x1b[2J\x9b[red]x[/red]", "a\x00\r\n\ud800b"])
def test_nothing_of_a_model_reaches_the_terminal_as_a_command(hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    value = {hostile: hostile} if "\ud800" not in hostile else {hostile.replace("\ud800", ""): 1}
    print_result(result_v2("r", "p", answer("q", value)))  # type: ignore[arg-type]
    out = capsys.readouterr().out
    assert [char for char in out if not char.isprintable() and char != "\n"] == []
    assert "\\x1b[2J\\x9b[red]x[/red]" in out or "a\\x00\\r\\nb" in out


def test_version_1_shows_its_sections(capsys: pytest.CaptureFixture[str]) -> None:
    print_result(result(conclusion="A bag."))
    assert "CONCLUSION\n  A bag.\n" in capsys.readouterr().out


def test_an_answer_is_one_that_is_good() -> None:
    assert has_answer(result())
    assert has_answer(result_v2("r", "p", SKIPPED, LOOK))
    assert not has_answer(result_v2("r", "p", SKIPPED))
