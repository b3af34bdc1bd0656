"""Two checkouts in turn: the ratio of one figure."""

from __future__ import annotations

import sys

import pytest

from sightstream.infra.lab.bench import pairs


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["pairs", *arguments])
    pairs.main()


def test_the_ratio_of_two_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    old = 'echo \'{"systems": {"a": {"rate": 2}}}\' > {json}'
    new = 'echo \'{"figures": [{"name": "b", "value": 1}, {"name": "a", "value": 3}]}\' > {json}'
    figures = ["--figure", "figures.a.value", "--old-figure", "systems.a.rate"]
    run(monkeypatch, "--old", old, "--new", new, *figures, "--rounds", "3")
    assert capsys.readouterr().out.splitlines()[-1] == "median of 3: new / old = 1.500"


def test_a_command_that_fails_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="no such thing"):
        run(monkeypatch, "--old", "echo no such thing; false", "--new", "true", "--figure", "a")


def test_a_missing_figure_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="no number at a"):
        run(monkeypatch, "--old", "echo '{}' > {json}", "--new", "true", "--figure", "a")
