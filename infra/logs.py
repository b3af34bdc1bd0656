"""Logs to standard error: one line per event for people, or one JSON object, with the request that it is about.

Modules log through the standard library; structlog renders. What `structlog.contextvars` has bound, such as the id of
the request that a thread works on, stands on every line that the thread writes meanwhile.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog

from sightstream.infra.log_repetition import RepetitionLimit
from sightstream.infra.log_settings import LogSettings
from sightstream.infra.settings import load
from sightstream.schemas.wire.dead_letter import printable

Event = MutableMapping[str, Any]

# These log URLs, whose queries can hold secrets.
_SECRETIVE = ("urllib3", "botocore", "boto3")
_OURS = "sightstream"
_SHOWN = ("repeated",)  # attributes of a record that are rendered with it
_FIRST = ("timestamp", "level", "logger", "event")


def log_to_stderr(level: int = logging.INFO) -> None:
    """Set up logging by `[log]`; call once, at the start of a command. Raises SettingsError.

    `level` is the least that is shown of other libraries, and of ours as well where `[log]` does not ask for more.
    """
    _set_up(load(LogSettings), level)


def log_nothing() -> None:
    """Set up logging for a command that itself says what is wrong, even with the settings."""
    _set_up(LogSettings.model_construct(), logging.CRITICAL)


def _set_up(settings: LogSettings, level: int) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(RepetitionLimit())
    handler.setFormatter(formatter(settings))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    ours = logging.getLevelNamesMapping()[settings.level.upper()]
    logging.getLogger(_OURS).setLevel(ours if level <= logging.INFO and ours != level else logging.NOTSET)
    for name in _SECRETIVE:
        logging.getLogger(name).setLevel(logging.ERROR)


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


@contextmanager
def engine_lines() -> Iterator[None]:
    """Print plain lines to standard error while a model loads and when it is ready: a person waits for the command."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(message)s"))
    engine = logging.getLogger("sightstream.pipeline.engine.host")
    engine.addHandler(handler)
    engine.setLevel(logging.INFO)
    try:
        yield
    finally:
        engine.removeHandler(handler)
        engine.setLevel(logging.NOTSET)


def formatter(settings: LogSettings) -> logging.Formatter:
    """Return what turns a record into a line."""
    render = structlog.processors.JSONRenderer() if settings.format == "json" else _console
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(allow=_SHOWN),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _escape,
            render,
        ],
    )


def _escape(_: object, __: str, event: Event) -> Event:
    """Escape control characters, since logged text may be hostile, and put the usual keys first."""
    escaped = {key: _escaped(value) for key, value in event.items()}
    return {key: escaped[key] for key in _FIRST if key in escaped} | escaped


def _escaped(value: object) -> object:
    if isinstance(value, int | float):
        return value
    return "\n".join(printable(line) for line in str(value).split("\n"))


def _console(_: object, __: str, event: Event) -> str:
    time, level, logger, text = (event.pop(key, "") for key in _FIRST)
    trace = event.pop("exception", None)
    more = "".join(f" {key}={value}" for key, value in event.items())
    line = f"{time} {str(level).upper()} {logger} {text}{more}"
    return printable(line if trace is None else f"{line}\n{trace}")
