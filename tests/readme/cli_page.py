"""docs/reference/cli.md, written from the commands' own help: `python -m tests.readme.cli_page`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from tests.readme.pages import ROOT

PAGE: Path = ROOT / "docs/reference/cli.md"

_HEAD = """# Commands

Written by `python -m tests.readme.cli_page` from the commands' own help; a test keeps it up to date. `--help` after any
command prints the same and the choices. `--config FILE`, before the command, or `SIGHTSTREAM_CONFIG` names the settings
file. The [exit codes](exit-codes.md) are the same for all commands.
"""


def cli_page() -> str:
    """Return the page: a section for each command, with its arguments and options."""
    from sightstream.infra.cli.app import app

    root = typer.main.get_command(app)
    return "\n".join([_HEAD, *(_section(path, command) for path, command in _commands(root, "sightstream"))])


# Typer brings its own copy of click, whose classes have no public home: commands and parameters are Any here.
def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name, child in sorted(children.items()):
        if not child.hidden:
            yield from _commands(child, f"{path} {name}")


def _section(path: str, command: Any) -> str:
    described = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    rows = [row for parameter in command.params for row in _row(parameter)]
    table = ["| | default | |", "|---|---|---|", *rows] if rows else []
    return "\n".join([f"## {path}", "", described, *([""] if table else []), *table, ""])


def _row(parameter: Any) -> Iterator[str]:
    if parameter.name == "help":
        return
    is_option = parameter.param_type_name == "option"
    names = [*parameter.opts, *parameter.secondary_opts] if is_option else [parameter.name.upper()]
    shown = ", ".join(f"`{name}`" for name in names)
    help_text = " ".join((parameter.help or "").split()).replace("|", "\\|")
    yield f"| {shown} | {_default(parameter)} | {help_text} |"


def _default(parameter: Any) -> str:
    value = parameter.default
    if parameter.required:
        return "required"
    return "" if value is None or value is False or callable(value) else f"`{value}`"


if __name__ == "__main__":
    PAGE.write_text(cli_page(), encoding="utf-8")
