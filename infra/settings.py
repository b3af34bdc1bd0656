"""Reads settings once, at start: environment first, then the TOML file, then defaults. Unknown names stop the start."""

from __future__ import annotations

import os
import tomllib
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings
from pydantic_settings import SettingsError as UnreadableValue

from sightstream.infra.errors import CommandError

CONFIG_VARIABLE = "SIGHTSTREAM_CONFIG"
PREFIX = "SIGHTSTREAM_"

# TOML section -> the class that owns it. Named as text, so that reading one loads only its own room.
SECTIONS = {
    "kafka": "sightstream.schemas.connections.kafka:KafkaSettings",
    "s3": "sightstream.schemas.connections.s3:S3Settings",
    "topics": "sightstream.schemas.wire.topics:TopicSettings",
    "publish": "sightstream.producers.settings:PublisherSettings",
    "upload": "sightstream.producers.uploads:UploadSettings",
    "fetch": "sightstream.pipeline.fetch.settings:FetchSettings",
    "decode": "sightstream.pipeline.decode.settings:DecodeSettings",
    "engine": "sightstream.pipeline.engine.settings:EngineSettings",
    "cache": "sightstream.pipeline.cache.settings:CacheSettings",
    "flow": "sightstream.pipeline.settings:FlowSettings",
    "worker": "sightstream.consumers.worker.settings:WorkerSettings",
    "store": "sightstream.consumers.store.settings:StoreSettings",
    "lookup": "sightstream.consumers.lookup.settings:LookupSettings",
    "lag": "sightstream.consumers.lag.settings:LagSettings",
}

Settings = TypeVar("Settings", bound=BaseSettings)


class SettingsError(CommandError):
    """A setting is wrong; the message says which one and what it should be, and never a value. Exit code 2."""

    exit_code = 2


def load(owner: type[Settings]) -> Settings:
    """`owner`, filled from the environment and from the file that SIGHTSTREAM_CONFIG names.

    Raises SettingsError on an unknown setting, whichever section it stands in, and on an invalid one of `owner`.
    """
    check_environment()
    section = next(name for name, path in SECTIONS.items() if path == f"{owner.__module__}:{owner.__name__}")
    prefix = owner.model_config["env_prefix"].upper()
    given = read_file().get(section, {})
    unset = {name: value for name, value in given.items() if f"{prefix}{name.upper()}" not in _environment()}
    try:
        return owner(**unset)
    except ValidationError as error:
        raise SettingsError(_explain(section, prefix, error)) from None
    except UnreadableValue as error:  # a list in the environment is written as JSON
        raise SettingsError(f'[{section}] {error} ({prefix}...): write it as JSON, such as ["a", "b"]') from None


def read_file() -> dict[str, dict[str, Any]]:
    """The TOML file's sections, {} when none is named."""
    named = os.environ.get(CONFIG_VARIABLE)
    return _read(Path(named)) if named else {}


@cache
def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        sections = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read the settings file {path}: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
    unknown = sorted(name for name, value in sections.items() if name not in SECTIONS or not isinstance(value, dict))
    if unknown:
        raise SettingsError(f"{path}: unknown sections {unknown}; known: {sorted(SECTIONS)}")
    for name, given in sections.items():
        _check_keys(path, name, given)
    return sections


def _check_keys(path: Path, section: str, given: dict[str, Any]) -> None:
    known = _owner(SECTIONS[section]).model_fields
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        raise SettingsError(f"{path}: unknown keys {unknown} in [{section}]; known: {sorted(known)}")


@cache
def check_environment() -> None:
    """Raises SettingsError when a SIGHTSTREAM_ variable belongs to no setting."""
    given = {name for name in _environment() if name.startswith(PREFIX)} - {CONFIG_VARIABLE}
    unknown = sorted(given - known_variables().keys()) if given else []
    if unknown:
        raise SettingsError(f"unknown environment variables {unknown}; is one misspelt?")


def known_variables() -> dict[str, type[BaseSettings]]:
    """Every environment variable that is read, with the class that reads it."""
    found: dict[str, type[BaseSettings]] = {CONFIG_VARIABLE: BaseSettings}
    for owner in map(_owner, SECTIONS.values()):
        found |= {f"{owner.model_config['env_prefix']}{field}".upper(): owner for field in owner.model_fields}
    return found


def _owner(path: str) -> type[BaseSettings]:
    module, name = path.split(":")
    owner: type[BaseSettings] = getattr(import_module(module), name)
    return owner


def _environment() -> set[str]:
    return {name.upper() for name in os.environ}


def _explain(section: str, prefix: str, error: ValidationError) -> str:
    problems = error.errors(include_input=False, include_url=False, include_context=False)
    lines = [
        f"[{section}] {'.'.join(map(str, p['loc']))} (or {prefix}{str(p['loc'][0]).upper()}): {p['msg']}"
        if p["loc"]
        else f"[{section}] {p['msg']}"
        for p in problems
    ]
    return "; ".join(lines)
