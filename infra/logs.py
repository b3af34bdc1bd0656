"""Logs to standard error, one line per event, with control characters escaped because logged text may be hostile."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sightstream.schemas.wire.dead_letter import printable


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def log_to_stderr(level: int = logging.INFO) -> None:
    """Set up logging; call once, at the start of a long-running command."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in ("urllib3", "botocore", "boto3"):  # they log URLs, whose queries can hold secrets
        logging.getLogger(name).setLevel(logging.ERROR)


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
