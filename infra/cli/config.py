"""`sightstream config`: show the settings that apply and where each comes from, or check all of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sightstream.infra.shown_settings import Setting

app = typer.Typer(help="Show the settings that apply, or check them.", no_args_is_help=True)

SectionArgument = Annotated[str | None, typer.Argument(help="Show only this section, such as kafka.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def show(section: SectionArgument = None, as_json: JsonOption = False) -> None:
    """Print each setting, its value, and whether the environment, the file or the default decides it.

    Secrets are masked. Exit code 2 when a setting is wrong; `sightstream config check` then lists all problems.
    """
    from sightstream.infra.settings import SECTIONS
    from sightstream.infra.shown_settings import settings_of

    if section is not None and section not in SECTIONS:
        raise typer.BadParameter(f"there is no section {section!r}; known: {', '.join(SECTIONS)}")
    shown = {name: settings_of(name) for name in ([section] if section else SECTIONS)}
    if as_json:
        print(json.dumps({name: {key: asdict(one) for key, one in found.items()} for name, found in shown.items()}))
        return
    print("\n\n".join("\n".join(_lines(name, found)) for name, found in shown.items()))


@app.command()
def check() -> None:
    """Validate the environment and the file for all sections, and list every problem at once.

    Exit code 0 when all is fine, 2 when something is wrong.
    """
    from sightstream.infra.settings import SECTIONS, check_all
    from sightstream.schemas.connections.settings_file import CONFIG_VARIABLE

    check_all()
    print(f"the settings of all {len(SECTIONS)} sections are valid; file: {os.environ.get(CONFIG_VARIABLE, 'none')}")


def _lines(section: str, settings: dict[str, Setting]) -> Iterator[str]:
    yield f"[{section}]"
    texts = {name: _text(setting.value) for name, setting in settings.items()}
    names, values = max(map(len, settings)), max(map(len, texts.values()))
    for name, setting in settings.items():
        origin = f"environment: {setting.variable}" if setting.origin == "environment" else setting.origin
        yield f"{name:<{names}} = {texts[name]:<{values}}  # {origin}"


def _text(value: object) -> str:
    return "unset" if value is None else json.dumps(value, ensure_ascii=False)
