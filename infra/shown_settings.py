"""Each setting as a person may see it, with its origin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic_settings import BaseSettings

from sightstream.infra.settings import environment_names, load, owner_of, read_file, variable
from sightstream.infra.settings_reference import is_secret
from sightstream.schemas.wire.uri import HIDDEN, redacted

MASK = "********"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as a person may see it: a secret's value is MASK, or None when it is not set."""

    value: object
    origin: str
    variable: str
    secret: bool


def settings_of(section: str) -> dict[str, Setting]:
    """Return each setting of a section by its name. Raises SettingsError."""
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
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    return redacted(url) if "@" in parts.netloc or parts.query or parts.fragment else url
