"""Each command in an odd environment works, or says in one sentence what is wrong; none ends in a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sightstream.consumers.kafka.types import PartitionId
from sightstream.consumers.store.batch import Position
from sightstream.consumers.store.database import Database
from sightstream.consumers.store.row import Record
from sightstream.consumers.store.rows import result_row
from sightstream.schemas.wire.dead_letter import RecordId
from tests.consumers.outcomes import result_record

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
PRODUCT = "Größe-→-🙂"
LINKS = {
    "SIGHTSTREAM_PORT": "tcp://10.0.0.1:80",
    "SIGHTSTREAM_SERVICE_HOST": "10.0.0.1",
    "SIGHTSTREAM_SERVICE_PORT": "80",
    "SIGHTSTREAM_SERVICE_PORT_METRICS": "80",
    "SIGHTSTREAM_PORT_80_TCP": "tcp://10.0.0.1:80",
    "SIGHTSTREAM_PORT_80_TCP_ADDR": "10.0.0.1",
    "SIGHTSTREAM_LOOKUP_PORT": "tcp://10.0.0.2:6066",
    "SIGHTSTREAM_WORKER_METRICS_PORT": "tcp://10.0.0.3:9000",
}


@dataclass(frozen=True)
class Environment:
    """`folder` is the working folder: absolute, or below the test's own. Without None a variable is unset."""

    variables: Mapping[str, str | None] = field(default_factory=dict)
    folder: str = "plain"
    read_only: bool = False


ENVIRONMENTS = {
    "service links": Environment(LINKS),
    "no home": Environment({"HOME": None}),
    "a home that is not there": Environment({"HOME": "/no/such/home", "XDG_CACHE_HOME": None}),
    "a working folder for nobody to write": Environment(folder="/proc"),
    "a working folder that is gone": Environment(folder="gone"),
    "no folder for temporary files": Environment({"TMPDIR": "/no/such/folder"}, folder="/proc", read_only=True),
    "a read-only root": Environment(read_only=True),
    "a folder with letters beyond ASCII": Environment(folder="Bürø 🙂"),
    "a folder with commas and backslashes": Environment(folder="a, b\\c = 'd'"),
    "a locale without letters": Environment({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    "output in ASCII": Environment({"PYTHONIOENCODING": "ascii"}),
    "output in Latin-1": Environment({"PYTHONIOENCODING": "latin-1"}, folder="Bürø 🙂"),
}
WRITABLE = {"plain", "Bürø 🙂", "a, b\\c = 'd'"}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_command_works_or_says_one_sentence(name: str, tmp_path: Path) -> None:
    environment = ENVIRONMENTS[name]
    commands = commands_for(environment, results_database(tmp_path / "results.db"))
    for command, (code, out, err) in zip(commands, run(environment, commands, tmp_path), strict=True):
        shown = f"{command}: {code}\n{out}{err}"
        assert "Traceback" not in out + err, shown
        assert code in (0, 1, 2, 3), shown
        said = [line for line in err.splitlines() if line.startswith(("sightstream: ", "Error: "))]
        assert len(said) == (code != 0), shown
        if command[0] == "results" and not environment.read_only:  # SQLite makes files beside the database
            assert code == 0, shown
            assert "Gr" in out, shown


def commands_for(environment: Environment, database: Path) -> list[list[str]]:
    """Return commands that need no broker to show how they take their environment."""
    commands = [
        *(["--version"], ["config", "show"], ["config", "check"], ["schemas", "check"], ["schemas", "write"]),
        *(["results", "--path", str(database)], ["results", "--path", str(database), "--json"]),
        *(["store"], ["store", "--path", "x.db"], ["worker"], ["lag"], ["lookup", PRODUCT], ["lookup", "--serve"]),
        *(["publish", "no-such.csv"], ["publish", "."], ["down"], ["task", "check", "no-such.toml"]),
    ]
    commands[4] += ["--folder", "out"]
    writable = environment.folder in WRITABLE and not environment.read_only
    return commands if writable else [*commands, ["up"], ["up", "--detach"]]  # elsewhere they would start Kafka


def results_database(path: Path) -> Path:
    key, value, headers = result_record("r", PRODUCT, RecordId("q", 0, 0))
    with Database(path) as database:
        database.write([result_row(Record("t", 0, 0, 1, key, value, headers))], {PartitionId("t", 0): Position(1)})
    return path


def run(environment: Environment, commands: Sequence[Sequence[str]], tmp_path: Path) -> list[tuple[int, str, str]]:
    folder = tmp_path / environment.folder
    folder.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SIGHTSTREAM_")}
    chosen = {
        "SIGHTSTREAM_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "SIGHTSTREAM_LAG_READ_TIMEOUT_S": "0.1",
        "SIGHTSTREAM_PUBLISH_CONNECT_TIMEOUT_S": "0.2",
    }
    variables = {"PYTHONPATH": str(ROOT), **kept, **chosen, **environment.variables}
    program = [sys.executable, "-P", "-m", "tests.infra.cli.hostile_environment", str(folder)]
    done = subprocess.run(
        [*read_only_root(), *program] if environment.read_only else program,
        input=json.dumps(commands).encode(),
        env={name: value for name, value in variables.items() if value is not None},
        capture_output=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    found: list[tuple[int, str, str]] = json.loads(done.stdout)
    return found


def read_only_root() -> list[str]:
    """Return the command before a program that sees every file system read-only. Skips where that is not allowed."""
    remount = 'mount -o remount,bind,ro / && exec "$@"'
    before = [
        "unshare",
        *([] if os.getuid() == 0 else ["--user", "--map-root-user"]),
        "--mount",
        "sh",
        "-c",
        remount,
        "-",
    ]
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not allow a read-only root")
    return before
