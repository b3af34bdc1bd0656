"""The identity of the engine's model, once it has loaded."""

from __future__ import annotations

import threading
from typing import Protocol

from sightstream.pipeline.errors import Fatal
from sightstream.schemas.wire.result import ModelIdentity


class HasIdentity(Protocol):
    """An engine that knows its model."""

    @property
    def identity(self) -> ModelIdentity:
        """Block until the model has loaded; return at once afterwards. Raises Fatal if it can't load."""


class EngineIdentity:
    """Waits for a loading engine on a thread of its own, so that no caller has to."""

    def __init__(self, engine: HasIdentity) -> None:
        self._engine = engine
        self._known = threading.Event()
        threading.Thread(target=self._wait, name="model-identity", daemon=True).start()

    def __call__(self) -> ModelIdentity | None:
        """Return the identity, or None before it is known. Never blocks."""
        return self._engine.identity if self._known.is_set() else None

    def _wait(self) -> None:
        try:
            if self._engine.identity:
                self._known.set()
        except Fatal:
            return  # `Flow.collect` raises it
