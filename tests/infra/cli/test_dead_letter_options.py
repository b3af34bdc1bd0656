"""Options of `sightstream dead-letters` that are wrong end with exit code 2 before a broker is asked."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from sightstream.infra.cli.app import app


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
