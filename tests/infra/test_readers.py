"""infra/ is sorted by reader: what maintainers run stands apart, and nothing that users run needs it."""

from __future__ import annotations

from tests.test_architecture import ROOT, imported_modules, sources

LAB = "sightstream.infra.lab"
CLI = "sightstream.infra.cli"


def importers_of(package: str, *folders: str) -> list[str]:
    """Return the sources in these folders that import from the package."""
    found = []
    for path in sources(*folders):
        modules = imported_modules(path.read_text(encoding="utf-8"))
        if any(module == package or module.startswith(f"{package}.") for module in modules):
            found.append(str(path.relative_to(ROOT)))
    return found


def test_only_two_commands_and_the_lab_itself_import_the_lab() -> None:
    importers = importers_of(LAB, "schemas", "producers", "pipeline", "consumers", "infra")
    others = [path for path in importers if not path.startswith("infra/lab/")]
    assert others == ["infra/cli/bench.py", "infra/cli/demo.py"]


def test_nothing_below_the_command_line_imports_it() -> None:
    importers = importers_of(CLI, "schemas", "producers", "pipeline", "consumers", "infra")
    assert [path for path in importers if not path.startswith("infra/cli/")] == []
