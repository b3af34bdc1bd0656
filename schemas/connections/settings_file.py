"""Fills settings in a program that embeds us: environment first, then the file that SIGHTSTREAM_CONFIG names."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic_settings import BaseSettings

CONFIG_VARIABLE = "SIGHTSTREAM_CONFIG"
PREFIX = "SIGHTSTREAM_"

Settings = TypeVar("Settings", bound=BaseSettings)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file, with or without a byte order mark. Raises OSError or ValueError."""
    return tomllib.loads(path.read_text(encoding="utf-8-sig"))


def configured(owner: type[Settings]) -> Settings:
    """Return `owner` from its section; other sections are not looked at.

    Raises OSError when the file can't be read, ValueError when it is no TOML, and pydantic.ValidationError, which is a
    ValueError, for a setting that is wrong or unknown.
    """
    prefix = str(owner.model_config.get("env_prefix"))
    named = os.environ.get(CONFIG_VARIABLE)
    section = read_toml(Path(named)).get(prefix.removeprefix(PREFIX).rstrip("_").lower(), {}) if named else {}
    given = {name.upper() for name in os.environ}
    return owner(**{name: value for name, value in section.items() if f"{prefix}{name}".upper() not in given})
