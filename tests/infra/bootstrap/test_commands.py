"""Installers print nothing when they succeed, retry with registries, and explain failures."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightstream.infra.bootstrap import commands
from sightstream.infra.bootstrap.errors import SetupError
from tests.infra.bootstrap.scripts import script


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "PAUSES_S", (0.0, 0.0))


def test_a_passing_failure_is_retried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flaky = script(tmp_path / "flaky", f'echo x >> {tmp_path}/calls; [ "$(wc -l < {tmp_path}/calls)" -ge 3 ]')
    commands.run_with_retries([str(flaky)])
    assert (tmp_path / "calls").read_text() == "x\nx\nx\n"
    assert capsys.readouterr().out.count("Trying again") == 2


def test_a_lasting_failure_shows_its_output(tmp_path: Path) -> None:
    broken = script(tmp_path / "broken", f"echo x >> {tmp_path}/calls; echo no such host >&2; exit 7")
    with pytest.raises(SetupError, match=r"(?s)failed with exit status 7:.*no such host"):
        commands.run_with_retries([str(broken)])
    assert (tmp_path / "calls").read_text() == "x\nx\nx\n"


def test_extra_environment_reaches_the_command(tmp_path: Path) -> None:
    commands.run(["/bin/sh", "-c", f'echo "$COLOUR" > {tmp_path}/out'], {"COLOUR": "teal"})
    assert (tmp_path / "out").read_text() == "teal\n"
