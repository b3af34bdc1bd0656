"""Jars come in whole, verified, or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from sightstream.infra.bootstrap import commands, kafka_jars
from sightstream.infra.bootstrap.errors import SetupError
from tests.infra.bootstrap.scripts import script

JARS = {"kafka.jar": b"broker", "slf4j.jar": b"logging"}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache, a list of two jars, and a Maven that copies what lies in `registry`."""
    sums = tmp_path / "sums"
    sums.write_text("".join(f"{hashlib.sha256(body).hexdigest()}  {name}\n" for name, body in JARS.items()))
    (tmp_path / "registry").mkdir()
    for name, body in JARS.items():
        (tmp_path / "registry" / name).write_bytes(body)
    maven = f'for last; do :; done; echo x >> {tmp_path}/calls; cp -r {tmp_path}/registry "${{last#*=}}"'
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(kafka_jars, "SUMS", sums)
    monkeypatch.setattr(kafka_jars, "_maven", lambda: str(script(tmp_path / "mvn", maven)))
    monkeypatch.setattr(kafka_jars, "_java_home", dict)
    monkeypatch.setattr(commands, "PAUSES_S", ())
    return tmp_path


def in_cache(machine: Path) -> list[str]:
    return sorted(path.name for path in (machine / "cache").rglob("*") if path.is_file())


def test_fetched_once(machine: Path) -> None:
    folder = kafka_jars.ensure_kafka_jars()
    assert {jar.name: jar.read_bytes() for jar in folder.iterdir()} == JARS
    assert kafka_jars.ensure_kafka_jars() == folder
    assert (machine / "calls").read_text() == "x\n"


@pytest.mark.parametrize("damage", ["changed", "missing", "extra"])
def test_other_jars_than_listed_are_refused(machine: Path, damage: str) -> None:
    registry = machine / "registry"
    if damage == "changed":
        (registry / "kafka.jar").write_bytes(b"another broker")
    elif damage == "missing":
        (registry / "kafka.jar").unlink()
    else:
        (registry / "kafka.jar").rename(registry / "miner.jar")
    with pytest.raises(SetupError, match=r"kafka\.jar"):
        kafka_jars.ensure_kafka_jars()
    assert in_cache(machine) == []


def test_a_damaged_cache_is_fetched_again(machine: Path) -> None:
    folder = kafka_jars.ensure_kafka_jars()
    (folder / "kafka.jar").write_bytes(b"half a bro")
    assert (kafka_jars.ensure_kafka_jars() / "kafka.jar").read_bytes() == JARS["kafka.jar"]
    assert in_cache(machine) == sorted(JARS)


def test_a_failing_fetch_leaves_nothing(machine: Path) -> None:
    (machine / "registry").rename(machine / "away")
    with pytest.raises(SetupError, match="failed with exit status 1"):
        kafka_jars.ensure_kafka_jars()
    assert in_cache(machine) == []


def test_another_list_is_another_folder(machine: Path) -> None:
    before = kafka_jars.cache_folder()
    assert before.name.startswith("kafka-4.1.0-")
    kafka_jars.SUMS.write_text("")
    assert kafka_jars.cache_folder() != before
