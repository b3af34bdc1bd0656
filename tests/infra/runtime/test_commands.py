"""`sightstream up` and `sightstream down`, as a person runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from confluent_kafka.admin import AdminClient

from sightstream.infra.runtime.detached import stop_owner
from sightstream.infra.runtime.folder import RuntimeFolder
from tests.infra.runtime.waiting import wait_until

pytestmark = pytest.mark.real

SIGHTSTREAM = [sys.executable, "-m", "sightstream"]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose runtime, if any, is stopped at the end."""
    yield tmp_path / "run"
    stop_owner(tmp_path / "run")


def sightstream(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*SIGHTSTREAM, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)


@contextmanager
def started(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """The command, running; killed at the end if it still is."""
    command = [*SIGHTSTREAM, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def broker_of(owner: int) -> int:
    """The process id of the Kafka that this process owns."""
    (java,) = (child for child in psutil.Process(owner).children(recursive=True) if child.name() == "java")
    return int(java.pid)


def test_detached_until_down(folder: Path) -> None:
    up = sightstream("up", "--dir", folder, "--partitions", 3, "--detach", "--json")
    assert up.returncode == 0, up.stderr
    endpoints = json.loads(up.stdout)
    topics = AdminClient({"bootstrap.servers": endpoints["bootstrap_servers"]}).list_topics(timeout=10).topics
    assert {name: len(topics[name].partitions) for name in endpoints["topics"]} == {
        "image.requests": 3,
        "image.results": 3,
        "image.dead-letters": 3,
        "image.redrives": 1,
    }
    secret = json.loads((folder / "identity.json").read_text())["secret_access_key"]
    config = tomllib.loads(Path(endpoints["config"]).read_text())
    assert config["s3"]["secret_access_key"] == secret
    assert secret not in up.stdout
    assert (config["store"]["path"], config["lookup"]["data_dir"]) == (f"{folder}/results.db", f"{folder}/lookup")

    again = sightstream("up", "--dir", folder, "--detach")
    assert again.returncode == 1
    assert "is in use by a running runtime" in again.stderr

    down = sightstream("down", "--dir", folder)
    assert (down.returncode, down.stdout) == (0, f"Stopped the runtime in {folder}.\n")
    assert RuntimeFolder(folder).is_free()
    assert sightstream("down", "--dir", folder).stdout == f"Nothing runs in {folder}.\n"

    other_size = sightstream("up", "--dir", folder, "--partitions", 5, "--detach")
    assert other_size.returncode == 1
    assert other_size.stderr.startswith("sightstream: topic image.requests has 3 partitions and 5 are wanted")
    assert RuntimeFolder(folder).is_free()


def test_foreground_ends_well_on_ctrl_c(folder: Path) -> None:
    with started("up", "--dir", folder, "--json") as up:
        assert up.stdout is not None
        assert json.loads(up.stdout.readline())["config"] == str(folder / "runtime.toml")
        os.kill(up.pid, signal.SIGINT)
        assert up.wait(20) == 0
    assert RuntimeFolder(folder).is_free()
    assert not (folder / "runtime.toml").exists()


def test_interrupted_while_starting(folder: Path) -> None:
    with started("up", "--dir", folder) as up:
        assert wait_until((folder / "logs" / "s3.log").exists, 20)
        os.kill(up.pid, signal.SIGINT)
        assert up.wait(20) == 130
    assert RuntimeFolder(folder).is_free()


def test_a_dead_broker_ends_the_command_with_its_log(folder: Path) -> None:
    with started("up", "--dir", folder, "--json") as up:
        assert up.stdout is not None
        assert up.stderr is not None
        up.stdout.readline()
        os.kill(broker_of(up.pid), signal.SIGKILL)
        assert up.wait(20) == 1
        assert "sightstream: Kafka has died" in up.stderr.read()
    assert RuntimeFolder(folder).is_free()
