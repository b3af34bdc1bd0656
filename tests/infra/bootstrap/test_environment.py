"""`.venv` is made once, and again whenever the repository asks for something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightstream.infra.bootstrap import commands, environment
from sightstream.infra.bootstrap.errors import SetupError
from tests.infra.bootstrap.scripts import script


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with one requirement, and a uv that writes down what it is asked."""
    (tmp_path / "requirements.txt").write_text("rich==15.0.0\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    script(tmp_path / ".venv" / "bin" / "python", "exit 0")
    uv = script(tmp_path / "uv", f'echo "$1 $2" >> {tmp_path}/calls; [ ! -e {tmp_path}/offline ]')
    for name, value in {
        "ROOT": tmp_path,
        "VENV": tmp_path / ".venv",
        "VENV_PYTHON": tmp_path / ".venv" / "bin" / "python",
        "STAMP": tmp_path / ".venv" / "stamp",
        "REQUIREMENTS": tmp_path / "requirements.txt",
        "ensure_uv": lambda: str(uv),
    }.items():
        monkeypatch.setattr(environment, name, value)
    monkeypatch.setattr(commands, "PAUSES_S", ())
    return tmp_path


def calls(clone: Path) -> list[str]:
    file = clone / "calls"
    made = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return made


def test_made_once(clone: Path) -> None:
    environment.ensure_environment()
    assert calls(clone) == ["venv --quiet", "pip install", "pip install"]
    environment.ensure_environment()
    assert calls(clone) == []


@pytest.mark.parametrize("file", ["requirements.txt", "pyproject.toml"])
def test_made_again_for_other_pins(clone: Path, file: str) -> None:
    environment.ensure_environment()
    calls(clone)
    (clone / file).write_text("# another\n")
    environment.ensure_environment()
    assert "pip install" in calls(clone)


def test_a_failed_install_is_not_taken_for_done(clone: Path) -> None:
    (clone / "offline").touch()
    with pytest.raises(SetupError):
        environment.ensure_environment()
    (clone / "offline").unlink()
    calls(clone)
    environment.ensure_environment()
    assert calls(clone) == ["venv --quiet", "pip install", "pip install"]


@pytest.mark.parametrize(
    ("version", "used"),
    [
        ("uv 0.5.0", True),
        ("uv 0.13.99 (abc 2026-01-01)", True),
        ("uv 0.4.30", False),
        ("uv 0.14.0", False),
        ("uv 1.0.0", False),
        ("another program", False),
    ],
)
def test_a_uv_on_the_path_is_used_if_its_version_was_tried(
    version: str, used: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = tmp_path / "uv-requirements.txt"
    pins.write_text("# echo uv==9.9.9\nuv==0.13.9 \\\n    --hash=sha256:00\n")
    found = script(tmp_path / "bin" / "uv", f"echo '{version}'")
    own = script(tmp_path / "own" / "bin" / "uv", "echo uv 0.13.9")
    for name, value in {"UV_REQUIREMENTS": pins, "OWN_UV": tmp_path / "own"}.items():
        monkeypatch.setattr(environment, name, value)
    monkeypatch.setenv("PATH", str(found.parent))
    assert environment.ensure_uv() == str(found if used else own)
