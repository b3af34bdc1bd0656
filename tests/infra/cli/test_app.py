"""The command line itself: its verbs, its version, and what it says where files for maintainers are missing."""

from __future__ import annotations

import importlib.metadata
import sys

import pytest
from typer.testing import CliRunner

from sightstream.consumers.private_files import NotPrivate
from sightstream.infra.cli import app as app_module
from sightstream.infra.cli import checkout
from sightstream.infra.cli.app import app, main
from sightstream.infra.cli.checkout import CheckoutNeededError, require_checkout


def test_the_version_is_that_of_the_package() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"sightstream {importlib.metadata.version('sightstream')}\n")


def test_a_checkout_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, "sightstream (a checkout that is not installed)\n")


def test_the_earlier_name_of_worker_still_works_and_is_hidden() -> None:
    assert "analyze" not in CliRunner().invoke(app, ["--help"]).output
    worker, analyze = (CliRunner().invoke(app, [verb, "--help"]) for verb in ("worker", "analyze"))
    assert worker.exit_code == analyze.exit_code == 0
    assert analyze.output == worker.output.replace("worker [OPTIONS]", "analyze [OPTIONS]")


@pytest.mark.parametrize("words", [["demo"], ["bench", "engine", "--list"], ["bench", "feed", "--list"]])
def test_commands_for_maintainers_ask_for_a_checkout(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checkout, "LAB", "sightstream.infra.no_such_package")
    monkeypatch.setattr(sys, "argv", ["sightstream", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"sightstream: `sightstream {words[0]}` needs a checkout of the repository")


def test_a_checkout_is_enough() -> None:
    require_checkout("demo")
    assert CheckoutNeededError.exit_code == 2


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "/named/path"), "/named/path: Permission denied"),
        (FileNotFoundError(2, "No usable temporary directory found in ['/tmp']"), "No usable temporary directory"),
        (NotPrivate("/x can't be opened: Is a directory"), "/x can't be opened"),
    ],
)
def test_an_error_of_the_system_is_one_sentence(
    error: OSError, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(app_module, "app", fail)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"sightstream: {said}")
