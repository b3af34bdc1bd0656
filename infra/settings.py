"""Reads settings once, at start: environment first, then the TOML file, then defaults. Unknown names stop the start."""

from __future__ import annotations

import logging
import os
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings
from pydantic_settings import SettingsError as UnreadableValue

from sightstream.infra.errors import CommandError
from sightstream.schemas.connections.settings_file import CONFIG_VARIABLE, PREFIX, read_toml

log = logging.getLogger(__name__)

# TOML section -> the class that owns it. Named as text, so that reading one loads only its own package.
SECTIONS = {
    "kafka": "sightstream.schemas.connections.kafka:KafkaSettings",
    "s3": "sightstream.schemas.connections.s3:S3Settings",
    "tracing": "sightstream.schemas.connections.tracing:TracingSettings",
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
    "log": "sightstream.infra.log_settings:LogSettings",
}

# Kubernetes tells every container of the services beside it, by variables that begin with the service's name.
_SERVICE_LINK = re.compile(
    r"SIGHTSTREAM(_\w+)?_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)", re.IGNORECASE
)
_SERVICE_URL = re.compile(r"(tcp|udp|sctp)://\S+")

Settings = TypeVar("Settings", bound=BaseSettings)


class SettingsError(CommandError):
    """A setting is wrong; the message says which one and what it should be, and never a value. Exit code 2."""

    exit_code = 2


def load(owner: type[Settings]) -> Settings:
    """Return `owner`, filled from the environment and from the file that SIGHTSTREAM_CONFIG names.

    Raises SettingsError on an unknown setting, whichever section it is in, and on an invalid one of `owner`.
    """
    check_environment()
    section = next(name for name, path in SECTIONS.items() if path == f"{owner.__module__}:{owner.__name__}")
    loaded = _build(owner, section, read_file().get(section, {}))
    if isinstance(loaded, list):
        raise SettingsError("; ".join(loaded)) from None
    return loaded


def _build(owner: type[Settings], section: str, given: dict[str, Any]) -> Settings | list[str]:
    """Return the settings, or what is wrong with them; `given` is the section of the file."""
    names = environment_names()
    unset = {name: value for name, value in given.items() if variable(section, name) not in names}
    try:
        return owner(**unset)
    except ValidationError as error:
        return _explain(section, error)
    except UnreadableValue as error:  # a list in the environment is written as JSON
        return [f'[{section}] {error} ({variable(section, "...")}): write it as JSON, such as ["a", "b"]']


def problems() -> list[str]:
    """Return everything that is wrong with the settings of all sections, each with what to change."""
    _drop_service_links()
    found = _unknown_variables()
    try:
        sections = _parse(_named_file())
    except SettingsError as error:
        return [*found, str(error)]
    found += _unknown_names(_named_file(), sections)
    for section in SECTIONS:
        found += _invalid_values(section, sections.get(section, {}))
    return found


def check_all() -> None:
    """Raise SettingsError with everything that `problems` finds."""
    if found := problems():
        raise SettingsError("\n  ".join([f"change these settings ({len(found)}):", *found]))


def _invalid_values(section: str, given: object) -> list[str]:
    owner = owner_of(section)
    table = given if isinstance(given, dict) else {}
    built = _build(owner, section, {name: value for name, value in table.items() if name in owner.model_fields})
    return built if isinstance(built, list) else []


def read_file() -> dict[str, dict[str, Any]]:
    """Return the sections of the TOML file, {} when none is named. Raises SettingsError."""
    return _read(_named_file())


@cache
def _read(path: Path | None) -> dict[str, dict[str, Any]]:
    sections = _parse(path)
    unknown = _unknown_names(path, sections)
    if unknown:
        raise SettingsError("; ".join(unknown))
    return sections


def _parse(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return read_toml(path)
    except OSError as error:
        raise SettingsError(f"cannot read the settings file {path}: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None


def _unknown_names(path: Path | None, sections: dict[str, Any]) -> list[str]:
    """Return a problem for the sections and one for the keys of each section that nothing reads."""
    unknown = sorted(name for name, value in sections.items() if name not in SECTIONS or not isinstance(value, dict))
    found = [f"{path}: unknown sections {unknown}; known: {sorted(SECTIONS)}"] if unknown else []
    for section, given in sections.items():
        if section in unknown:
            continue
        known = owner_of(section).model_fields
        if keys := sorted(given.keys() - known.keys()):
            found.append(f"{path}: unknown keys {keys} in [{section}]; known: {sorted(known)}")
    return found


@cache
def check_environment() -> None:
    """Raise SettingsError when a SIGHTSTREAM_ variable belongs to no setting."""
    _drop_service_links()
    for problem in _unknown_variables():
        raise SettingsError(problem)


def _drop_service_links() -> None:
    """Remove Kubernetes' service links from the environment: a service named sightstream-lookup would set our port."""
    ours = [name for name in os.environ if name.upper().startswith(PREFIX)]
    for name in [name for name in ours if _is_service_link(name, os.environ[name])]:
        log.debug("%s is passed over: Kubernetes set it for a service", name)
        del os.environ[name]


def _is_service_link(name: str, value: str) -> bool:
    if name.upper().endswith("_PORT") and _SERVICE_URL.fullmatch(value):
        return True
    return _SERVICE_LINK.fullmatch(name) is not None and name.upper() not in known_variables()


def _unknown_variables() -> list[str]:
    given = {name for name in environment_names() if name.startswith(PREFIX)} - {CONFIG_VARIABLE}
    unknown = sorted(given - known_variables().keys()) if given else []
    return [f"unknown environment variables {unknown}; is one misspelt?"] if unknown else []


def known_variables() -> dict[str, type[BaseSettings]]:
    """Return every environment variable that is read, with the class that reads it."""
    found: dict[str, type[BaseSettings]] = {CONFIG_VARIABLE: BaseSettings}
    for section in SECTIONS:
        owner = owner_of(section)
        found |= {variable(section, field): owner for field in owner.model_fields}
    return found


def variable(section: str, field: str) -> str:
    """Return the name of the environment variable of a setting."""
    return f"{PREFIX}{section}_{field}".upper()


def owner_of(section: str) -> type[BaseSettings]:
    """Return the class that owns a section, and load its module."""
    module, name = SECTIONS[section].split(":")
    owner: type[BaseSettings] = getattr(import_module(module), name)
    return owner


def environment_names() -> set[str]:
    """Return the names of all environment variables in upper case, as settings ignore the case."""
    return {name.upper() for name in os.environ}


def _named_file() -> Path | None:
    named = os.environ.get(CONFIG_VARIABLE)
    return Path(named) if named else None


def _explain(section: str, error: ValidationError) -> list[str]:
    """Return one problem for each wrong value, with where to change it and without the value."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return [
        f"[{section}] {'.'.join(map(str, p['loc']))} (or {variable(section, str(p['loc'][0]))}): {p['msg']}"
        if p["loc"]
        else f"[{section}] {p['msg']}"
        for p in found
    ]
