"""`sightstream doctor`: exit codes, JSON, and what it is asked to leave out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sightstream.infra.cli.app import app
from sightstream.infra.cli.doctor import ROLES
from sightstream.infra.doctor.roles import Role
from tests.infra.doctor.configured import configure

BROKER = ["--skip", "broker", "--skip", "topics", "--skip", "permissions", "--skip", "clock", "--skip", "database"]


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, {"SIGHTSTREAM_ENGINE_KIND": "simulated", "SIGHTSTREAM_WORKER_STATE_DIR": str(tmp_path)})


def test_the_roles_of_the_option_are_all_roles() -> None:
    assert list(ROLES) == list(Role)


def test_without_findings_it_ends_with_0() -> None:
    done = CliRunner().invoke(app, ["doctor", *BROKER, "--role", "worker"])
    assert done.exit_code == 0, done.output
    assert "settings: good" in done.output
    assert "s3: not looked at" in done.output
    assert done.output.endswith("\n0 finding(s)\n")


def test_with_findings_it_ends_with_1_and_prints_json(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, {"SIGHTSTREAM_KAFKA_BOOTSTRAP": "x"})
    done = CliRunner().invoke(app, ["doctor", "--json"])
    assert done.exit_code == 1
    (finding,) = json.loads(done.stdout)["findings"]
    assert (finding["id"], finding["severity"], finding["area"]) == ("settings-wrong", "error", "settings")
    assert "SIGHTSTREAM_KAFKA_BOOTSTRAP" in finding["detail"]


@pytest.mark.parametrize("words", [["--role", "king"], ["--skip", "moon"]])
def test_wrong_use_ends_with_2_and_says_what_is_known(words: list[str]) -> None:
    done = CliRunner().invoke(app, ["doctor", *words])
    assert done.exit_code == 2
    assert words[1] in done.stderr
