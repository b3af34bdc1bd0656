"""Options of `sightstream dead-letters` that are wrong end with exit code 2 before a broker is asked."""

from __future__ import annotations

from inspect import signature

import pytest
from typer.testing import CliRunner

from sightstream.consumers.redrive.decision import MAX_REDRIVES, Decision
from sightstream.consumers.redrive.tally import Reading, Tally
from sightstream.infra.cli import dead_letter_progress
from sightstream.infra.cli.app import app
from sightstream.infra.cli.dead_letter_progress import read_progress
from sightstream.infra.cli.dead_letter_redrive import redrive


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["list", "--since", "yesterday"], "is no time"),
        (["list", "--source", "x"], "is no range"),
        (["list", "--parked", "--redriven"], "use one of"),
        (["count", "--by", "colour"], "use one of"),
        (["show", "3"], "name one letter"),
        (["show", "3/1-2"], "name one letter"),
        (["redrive", "--limit", "0"], "limit"),
        (["redrive", "--rate", "0"], "rate"),
        (["redrive", "--letter", "9/3-1"], "ends before it begins"),
    ],
)
def test_wrong_options_are_explained(words: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["dead-letters", *words])
    assert done.exit_code == 2
    assert message in done.output


def test_the_number_of_redrives_before_parking_is_the_documented_one() -> None:
    assert signature(redrive).parameters["max_redrives"].default == MAX_REDRIVES == 3


def test_progress_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(dead_letter_progress, "LINE_EVERY_S", 0.0)
    tally = Tally(Reading(letters=3, foreign=1))
    tally.add(Decision.REDRIVE, "malformed")
    with read_progress(True, "selected") as progress:
        progress.on_start(9)
        progress.on_read(tally)
    assert progress.tally is tally
    assert capsys.readouterr().err == "4 of 9 offsets read, 1 selected\n"
