"""Engines and decoders as the bench wants them: from a model at hand, in this process or behind the host."""

from __future__ import annotations

from dataclasses import dataclass

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.engine.models import checkpoint_for, model_of
from sightstream.infra.lab.bench.engine.options import BenchOptions
from sightstream.infra.lab.demo_model.architecture import MAX_TILES
from sightstream.infra.lab.demo_model.export import CHECKPOINT
from sightstream.pipeline.decode.decoder import Decoder
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.tiles import Tiling
from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.host import EngineHost
from sightstream.pipeline.engine.image_processor import read_tiling
from sightstream.pipeline.engine.protocol import Engine, ProgressCallback
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.slots.phase_timer import PhaseTimer, untimed

# For decoded images: more than any engine holds. Memory that is not used is not allocated.
CANVAS_BYTES = 2 * 1024**3


def build_engine_for(
    checkpoint: Checkpoint, settings: EngineSettings, on_progress: ProgressCallback, timed: PhaseTimer = untimed
) -> Engine:
    """The engine of `settings.kind`, around a model that is loaded already. `timed` is for the slot engine's phases."""
    if settings.kind == "slots":
        from sightstream.pipeline.engine.slots.engine import SlotEngine

        return SlotEngine(checkpoint, settings, on_progress, timed=timed)
    if settings.kind == "generate":
        from sightstream.pipeline.engine.generate import GenerateEngine

        return GenerateEngine(checkpoint, settings, on_progress)
    if settings.kind == "simulated":
        from sightstream.pipeline.engine.simulated import SimulatedEngine

        return SimulatedEngine(settings, on_progress)
    raise CommandError(f"the engine {settings.kind!r} is not measured here; choose slots, generate or simulated")


@dataclass(frozen=True, slots=True)
class EngineBuilder:
    """Builds the engine in a child process, model and all. Picklable."""

    options: BenchOptions

    def __call__(self, settings: EngineSettings, on_progress: ProgressCallback) -> Engine:
        return build_engine_for(checkpoint_for(self.options), settings, on_progress)


def host_for(options: BenchOptions, decoder: Decoder) -> EngineHost:
    """Returns at once; `identity` blocks until the engine is there. It reads canvases where `decoder` puts them."""
    return EngineHost(options.settings, EngineBuilder(options), memory=decoder.memory)


def tiling_of(options: BenchOptions) -> Tiling:
    """Return the tiling of the model that will be loaded."""
    model = model_of(options)
    if model == "random-11b":
        return Tiling(560, MAX_TILES)
    if model == "random-small":
        return Tiling(56, MAX_TILES)
    folder = options.settings.checkpoint if model == "checkpoint" else CHECKPOINT
    if folder is None:
        raise CommandError("no checkpoint is set: SIGHTSTREAM_ENGINE_CHECKPOINT names its folder")
    return read_tiling(folder)


def decoder_for(options: BenchOptions, processes: int) -> Decoder:
    """The pipeline's decoder: canvases for the slot engine, whole images for the others."""
    tiling = tiling_of(options) if options.settings.kind == "slots" else None
    return Decoder(DecodeSettings(processes=processes), tiling, CANVAS_BYTES)
