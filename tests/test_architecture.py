"""The rooms import one way, and light things stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("schemas", "producers", "pipeline", "consumers", "infra")
MAY_IMPORT = {
    "schemas": {"schemas"},
    "producers": {"producers", "schemas"},
    "pipeline": {"pipeline", "schemas"},
    "consumers": {"consumers", "pipeline", "schemas"},
    "infra": set(ROOMS),
}
HEAVY = {"torch", "transformers", "faust", "boto3", "PIL", "bitsandbytes", "aiokafka", "numpy"}


def imported_rooms(source: str) -> set[str]:
    """The rooms that a module names in any import statement, at the top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names & {*ROOMS, "tests"}


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_one_way(room: str) -> None:
    modules = sorted((ROOT / room).rglob("*.py"))
    assert modules
    wrong = {
        str(path.relative_to(ROOT)): sorted(extra)
        for path in modules
        if (extra := imported_rooms(path.read_text(encoding="utf-8")) - MAY_IMPORT[room])
    }
    assert wrong == {}


def test_the_walk_sees_every_kind_of_import() -> None:
    source = "import producers.x\nfrom pipeline import y\ndef f():\n    from infra.z import w\n"
    assert imported_rooms(source) == {"producers", "pipeline", "infra"}


@pytest.mark.parametrize("module", ["schemas.codec", "producers", "producers.publisher", "infra.cli.app"])
def test_light_modules_load_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*(set(sys.modules) & {HEAVY!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []


def test_help_answers_quickly() -> None:
    command = [sys.executable, "-m", "infra.cli.app", "--help"]
    best = min(_seconds(command) for _ in range(5))
    assert best < 0.5


def _seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return time.perf_counter() - start
