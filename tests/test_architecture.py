"""The packages import one way and by one name, and light modules stay light."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("schemas", "producers", "pipeline", "consumers", "infra")
MAY_IMPORT = {
    "schemas": {"schemas"},
    "producers": {"producers", "schemas"},
    "pipeline": {"pipeline", "schemas"},
    "consumers": {"consumers", "pipeline", "schemas"},
    "infra": {*PACKAGES},
}
HEAVY = {"torch", "transformers", "faust", "boto3", "PIL", "bitsandbytes", "aiokafka", "numpy"}


def imported_modules(source: str) -> Iterator[str]:
    """The modules that a source names in any import statement, at the top or inside a function."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_packages(source: str) -> set[str]:
    """Which of our packages (or the tests) a source imports from."""
    parts = [module.split(".") for module in imported_modules(source)]
    return {part[1] for part in parts if part[0] == "sightstream"} | {"tests" for part in parts if part[0] == "tests"}


def imported_consumers(source: str) -> set[str]:
    """Which parts of sightstream.consumers a source imports from."""
    parts = [module.split(".") for module in imported_modules(source)]
    return {part[2] for part in parts if part[:2] == ["sightstream", "consumers"] and len(part) > 2}


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_one_way(package: str) -> None:
    modules = sources(package)
    assert modules
    wrong = {
        str(path.relative_to(ROOT)): sorted(extra)
        for path in modules
        if (extra := imported_packages(path.read_text(encoding="utf-8")) - MAY_IMPORT[package])
    }
    assert wrong == {}


def test_consumers_never_import_each_other() -> None:
    """Worker, lag, lookup, redrive and store run alone; the reading of Kafka that they share is in consumers/kafka."""
    siblings = {"worker", "lag", "lookup", "redrive", "store"}
    wrong = {
        str(path.relative_to(ROOT)): sorted(others)
        for sibling in siblings
        for path in sources(f"consumers/{sibling}")
        if (others := imported_consumers(path.read_text(encoding="utf-8")) & siblings - {sibling})
    }
    shared = {
        str(path.relative_to(ROOT)): sorted(users)
        for path in [*sources("consumers/kafka"), *(ROOT / "consumers").glob("*.py")]
        if (users := imported_consumers(path.read_text(encoding="utf-8")) & siblings)
    }
    assert wrong | shared == {}


def test_nothing_imports_a_folder_by_its_bare_name() -> None:
    """`import schemas` would find a shop's own schemas.py, and load ours a second time beside sightstream.schemas."""
    wrong = {
        str(path.relative_to(ROOT)): sorted(bare)
        for path in sources(*PACKAGES, "sightstream", "tests")
        if (bare := {m for m in imported_modules(path.read_text(encoding="utf-8")) if m.split(".")[0] in PACKAGES})
    }
    assert wrong == {}


def test_no_code_in_a_string_imports_a_folder_by_its_bare_name() -> None:
    pattern = re.compile(rf"\b(?:from|import) (?:{'|'.join(PACKAGES)})\.\w")
    found = [path for path in sources(*PACKAGES, "tests") if pattern.search(path.read_text(encoding="utf-8"))]
    assert [str(path.relative_to(ROOT)) for path in found if path.name != "test_architecture.py"] == []


def test_the_walk_sees_every_kind_of_import() -> None:
    source = "import sightstream.producers.x\nfrom sightstream import pipeline\ndef f():\n    from tests.z import w\n"
    assert imported_packages(source) == {"producers", "pipeline", "tests"}
    assert set(imported_modules("import schemas\nfrom infra.cli import app")) == {"schemas", "infra.cli.app"}


def imports_at_start(body: list[ast.stmt]) -> Iterator[str]:
    """The modules that importing a source imports at once: neither in its functions nor for a type checker only."""
    for node in body:
        match node:
            case ast.Import() | ast.ImportFrom():
                yield from imported_modules(ast.unparse(node))
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield from imports_at_start(node.orelse)
            case ast.If() | ast.Try() | ast.With():
                yield from imports_at_start([child for child in ast.walk(node) if isinstance(child, ast.stmt)][1:])
            case ast.ClassDef():
                yield from imports_at_start(node.body)


def circle(imports: dict[str, set[str]]) -> list[str]:
    """The modules of one import circle, [] when there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_import_circle_exists() -> None:
    paths = {
        ".".join(("sightstream", *path.relative_to(ROOT).with_suffix("").parts)): path for path in sources(*PACKAGES)
    }
    known = {name.removesuffix(".__init__"): path for name, path in paths.items()}
    imports: dict[str, set[str]] = {}
    for name, path in known.items():
        found = imports_at_start(ast.parse(path.read_text(encoding="utf-8")).body)
        targets = (module if module in known else module.rpartition(".")[0] for module in found)
        imports[name] = {target for target in targets if target in known}
    assert imports["sightstream.schemas.wire.codec"] >= {"sightstream.schemas.wire.dead_letter"}
    assert circle(imports) == []


def test_a_circle_is_found_among_the_imports_that_run_at_start() -> None:
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
    source = (
        "import a\ntry:\n    import b\nexcept ImportError:\n    from c import d\n"
        "if TYPE_CHECKING:\n    import e\nelse:\n    import f\ndef g():\n    import h\nclass I:\n    import j\n"
    )
    assert set(imports_at_start(ast.parse(source).body)) == {"a", "b", "c.d", "f", "j"}


@pytest.mark.parametrize(
    "module",
    [
        "sightstream",
        "sightstream.schemas.wire.codec",
        "sightstream.producers",
        "sightstream.producers.publisher",
        "sightstream.infra.cli.app",
    ],
)
def test_light_modules_load_nothing_heavy(module: str) -> None:
    assert HEAVY & loaded_by(f"import {module}") == set()


def test_the_public_names_load_when_they_are_used() -> None:
    assert not any(name.startswith("sightstream.") for name in loaded_by("import sightstream"))
    import sightstream

    loaded = loaded_by(f"from sightstream import {', '.join(sightstream.__all__)}")
    assert "sightstream.producers.publisher" in loaded
    assert not loaded & HEAVY


def test_every_public_name_is_there() -> None:
    import sightstream

    assert all(getattr(sightstream, name).__module__.startswith("sightstream.") for name in sightstream.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = sightstream.Nothing


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh interpreter holds after `code`."""
    command = [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split())


def test_help_answers_quickly() -> None:
    command = [sys.executable, "-m", "sightstream", "--help"]
    best = min(_seconds(command) for _ in range(5))
    assert best < 0.5


def _seconds(command: list[str]) -> float:
    """Return the processor time, which other programs on this machine do not change much."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime
