"""The set-up's own files: it runs on a bare Python, and nothing is fetched without a sum."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MODULES = sorted((ROOT / "infra" / "bootstrap").glob("*.py"))
PINS = [ROOT / "requirements.txt", *sorted((ROOT / "infra" / "bootstrap").glob("*-requirements.txt"))]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_needs_nothing_but_python(module: Path) -> None:
    nodes = list(ast.walk(ast.parse(module.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    own = ("sightstream.infra.bootstrap", "sightstream.infra.errors", "sightstream.consumers.private_files")
    assert {n for n in names if n.split(".")[0] not in sys.stdlib_module_names and not n.startswith(own)} == set()


def test_a_bare_python_can_load_it() -> None:
    code = "from sightstream.infra.bootstrap import __main__, environment, kafka_jars"
    subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"], check=True
    )


@pytest.mark.parametrize("file", PINS, ids=lambda path: path.name)
def test_every_requirement_is_pinned_with_sums(file: Path) -> None:
    requirements = file.read_text().replace("\\\n", " ").splitlines()
    wanted = [line for line in requirements if line and not line.lstrip().startswith("#")]
    assert wanted
    assert [line for line in wanted if "==" not in line or "--hash=sha256:" not in line] == []


def test_every_jar_has_a_sum() -> None:
    lines = (ROOT / "infra" / "runtime" / "kafka-jars.sha256").read_text().splitlines()
    assert len(lines) == 46
    assert all(len(digest) == 64 and name.endswith(".jar") for digest, name in (line.split() for line in lines))


@pytest.mark.parametrize("file", PINS, ids=lambda path: path.name)
def test_requirements_say_how_they_are_made_and_name_no_index(file: Path) -> None:
    text = file.read_text()
    assert text.startswith("# ")
    assert [word for word in ("://", "--index", "--extra-index", "--find-links") if word in text] == []


def test_make_lists_every_target() -> None:
    command = ["make", "--no-print-directory", "help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    (targets,) = (
        line.split()[1:] for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith(".PHONY")
    )
    assert [line.split()[1] for line in done.stdout.splitlines()] == targets


def test_slow_tests_are_left_to_their_own_targets() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert '-m "not soak"' in makefile
    assert '-m "not real and not slow and not soak"' in makefile
