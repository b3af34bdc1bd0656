"""Builds the engine that the settings choose, in the engine's own process, so that only it loads torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sightstream.pipeline.engine.checkpoint_folder import checked_folder
from sightstream.pipeline.engine.protocol import Engine, ProgressCallback
from sightstream.pipeline.engine.settings import EngineSettings

if TYPE_CHECKING:
    from sightstream.pipeline.engine.checkpoint import Checkpoint

EngineFactory = Callable[[EngineSettings, ProgressCallback], Engine]


def build_engine(settings: EngineSettings, on_progress: ProgressCallback) -> Engine:
    """Build the engine, which calls `on_progress` whenever its work advances. Raises Fatal when it can't be built."""
    if settings.kind == "simulated":
        from sightstream.pipeline.engine.simulated import SimulatedEngine

        return SimulatedEngine(settings, on_progress)
    if settings.kind == "remote":
        from sightstream.pipeline.engine.remote.engine import RemoteEngine

        return RemoteEngine(settings, on_progress)
    checked_folder(settings.checkpoint, any_type=settings.kind == "generate")  # before torch takes its seconds to load
    from sightstream.pipeline.engine.checkpoint import load_checkpoint

    return build_on_model(load_checkpoint(settings), settings, on_progress)


def build_on_model(checkpoint: Checkpoint, settings: EngineSettings, on_progress: ProgressCallback) -> Engine:
    """Build the engine for a model that is loaded already. Raises Fatal when the model does not fit its device."""
    if settings.kind == "generate":
        from sightstream.pipeline.engine.generate import GenerateEngine

        return GenerateEngine(checkpoint, settings, on_progress)
    from sightstream.pipeline.engine.slots.engine import SlotEngine

    return SlotEngine(checkpoint, settings, on_progress)
