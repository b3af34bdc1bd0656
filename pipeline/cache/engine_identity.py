"""Which model answers, once it is known."""

from __future__ import annotations

import threading
from typing import Protocol

from sightstream.pipeline.errors import Fatal
from sightstream.schemas.wire.result import ModelIdentity


class HasIdentity(Protocol):
    @property
    def identity(self) -> ModelIdentity:
        """May block until a model is loaded, for the first time only. Raises Fatal."""


class EngineIdentity:
    """Waits on a thread of its own for an engine that loads, so that nobody else has to."""

    def __init__(self, engine: HasIdentity) -> None:
        self._engine = engine
        self._known = threading.Event()
        threading.Thread(target=self._wait, name="model-identity", daemon=True).start()

    def __call__(self) -> ModelIdentity | None:
        """None before it is known. Never blocks."""
        return self._engine.identity if self._known.is_set() else None

    def _wait(self) -> None:
        try:
            if self._engine.identity:
                self._known.set()
        except Fatal:
            return  # whoever collects hears of it
