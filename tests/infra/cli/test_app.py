"""The command line itself: its verbs, its version, and what it says where files for maintainers are missing."""

from __future__ import annotations

import importlib.metadata
import re
import sys

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from sightstream.consumers.private_files import NotPrivate
from sightstream.infra.cli import app as app_module
from sightstream.infra.cli import checkout, publish
from sightstream.infra.cli.app import app, main
from sightstream.infra.cli.checkout import CheckoutNeededError, require_checkout
from sightstream.infra.errors import extra_of
from sightstream.producers.settings import PublisherSettings


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


def test_a_missing_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise ModuleNotFoundError("No module named 'faust.types'", name="faust.types")

    monkeypatch.setattr(app_module, "app", fail)
    with pytest.raises(SystemExit) as end:
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert (end.value.code, line) == (
        2,
        'sightstream: this needs the package faust.types: pip install "sightstream[lookup]"',
    )


def test_every_package_of_an_extra_is_known() -> None:
    """Ask the installed packages for the names under which they are imported."""
    modules = importlib.metadata.packages_distributions()
    for requirement in importlib.metadata.requires("sightstream") or ():
        package = re.split(r"[<>=;\[ ]", requirement)[0]
        imported = {name for name, owners in modules.items() if package in map(str.lower, owners)}
        if "extra == 'local'" not in requirement and "extra" in requirement and imported:
            assert any(map(extra_of, imported)), package


def test_an_error_of_the_kafka_client_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"security.protocol": "ssl", "ssl.ca.location": "/no/such.pem"}
    monkeypatch.setattr(app_module, "app", lambda: Producer(config))
    with pytest.raises(SystemExit) as end:
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 1
    assert line.startswith("sightstream: Kafka: ")


def test_the_question_in_the_help_of_publish_is_the_default_setting() -> None:
    assert PublisherSettings().question == publish.QUESTION
