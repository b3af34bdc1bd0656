"""`sightstream config`: show the settings that apply and where each comes from, or check all of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings

app = typer.Typer(help="Show the settings that apply, or check them.", no_args_is_help=True)

MASK = "********"

SectionArgument = Annotated[str | None, typer.Argument(help="Show only this section, such as kafka.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as a person may see it: a secret's value is MASK, or None when it is not set."""

    value: object
    origin: str
    variable: str
    secret: bool


@app.command()
def show(section: SectionArgument = None, as_json: JsonOption = False) -> None:
    """Print each setting, its value, and whether the environment, the file or the default decides it.

    Secrets are masked. Exit code 2 when a setting is wrong; `sightstream config check` then lists all problems.
    """
    from sightstream.infra.settings import SECTIONS

    if section is not None and section not in SECTIONS:
        raise typer.BadParameter(f"there is no section {section!r}; known: {', '.join(SECTIONS)}")
    shown = {name: _settings_of(name) for name in ([section] if section else SECTIONS)}
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


def _settings_of(section: str) -> dict[str, Setting]:
    from sightstream.infra.settings import environment_names, load, owner_of, read_file, variable

    owner = owner_of(section)
    loaded = load(owner)
    in_file, in_environment = read_file().get(section, {}), environment_names()
    found = {}
    for name in owner.model_fields:
        by_environment, by_file = variable(section, name) in in_environment, name in in_file
        origin = "environment" if by_environment else "file" if by_file else "default"
        found[name] = _setting(loaded, name, origin, variable(section, name))
    return found


def _setting(loaded: BaseSettings, name: str, origin: str, variable: str) -> Setting:
    from sightstream.infra.settings_reference import is_secret

    secret = is_secret(type(loaded).model_fields[name].annotation)
    value = getattr(loaded, name)
    shown = (None if value is None else MASK) if secret else _plain(value)
    return Setting(shown, origin, variable, secret)


def _plain(value: Any) -> object:
    """Return `value` as JSON allows it; a URL loses what may be a credential."""
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Path):
        return str(value)
    return _without_credentials(value) if isinstance(value, str) and "://" in value else value


def _without_credentials(url: str) -> str:
    from sightstream.schemas.wire.uri import HIDDEN, redacted

    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    return redacted(url) if "@" in parts.netloc or parts.query or parts.fragment else url


def _lines(section: str, settings: dict[str, Setting]) -> Iterator[str]:
    yield f"[{section}]"
    texts = {name: _text(setting.value) for name, setting in settings.items()}
    names, values = max(map(len, settings)), max(map(len, texts.values()))
    for name, setting in settings.items():
        origin = f"environment: {setting.variable}" if setting.origin == "environment" else setting.origin
        yield f"{name:<{names}} = {texts[name]:<{values}}  # {origin}"


def _text(value: object) -> str:
    return "unset" if value is None else json.dumps(value, ensure_ascii=False)
