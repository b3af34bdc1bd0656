"""`python -m` of this module: a worker whose engine has the benchmark's model and writes down its activity."""

from __future__ import annotations

import sys
from pathlib import Path

from sightstream.infra.lab.bench.system.model import CHECKPOINT, tiling_for
from sightstream.infra.lab.bench.system.recorded_engine import RecordedEngine
from sightstream.pipeline.flow import Flow


def main() -> None:
    """Run a worker from its settings. Arguments: the model's name, and the folder for the activity."""
    from sightstream.consumers.worker.run import run_worker
    from sightstream.consumers.worker.settings import WorkerSettings
    from sightstream.infra.logs import log_to_stderr
    from sightstream.infra.settings import load
    from sightstream.schemas.connections.kafka import KafkaSettings
    from sightstream.schemas.wire.topics import TopicSettings

    log_to_stderr()
    model, folder = sys.argv[1], Path(sys.argv[2])
    settings = load(WorkerSettings)
    run_worker(settings, load(KafkaSettings), load(TopicSettings), lambda _: start_flow(model, folder))


def start_flow(model: str, folder: Path) -> Flow:
    """Start the flow of the settings, with another model."""
    from sightstream.infra.settings import load
    from sightstream.pipeline.build import build_flow
    from sightstream.pipeline.cache.settings import CacheSettings
    from sightstream.pipeline.decode.settings import DecodeSettings
    from sightstream.pipeline.engine.settings import EngineSettings
    from sightstream.pipeline.fetch.settings import FetchSettings
    from sightstream.pipeline.settings import FlowSettings
    from sightstream.schemas.connections.s3 import S3Settings

    engine = load(EngineSettings)
    if engine.checkpoint is None:
        engine = engine.model_copy(update={"checkpoint": CHECKPOINT})  # the tokenizer of every other model here
    return build_flow(
        load(FlowSettings),
        load(FetchSettings),
        load(S3Settings),
        load(DecodeSettings),
        engine,
        load(CacheSettings),
        engine_factory=RecordedEngine(model, folder),
        tiling=tiling_for(model, engine),
    )


if __name__ == "__main__":
    main()
