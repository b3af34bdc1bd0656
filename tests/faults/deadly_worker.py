"""Runs `sightstream worker` with the engine of deadly_engine.py."""

from __future__ import annotations

import sys
from functools import partial

from tests.faults.deadly_engine import build_deadly_engine


def run() -> None:
    from sightstream.infra.cli.app import main
    from sightstream.pipeline import build
    from sightstream.pipeline.engine.host import EngineHost

    vars(build)["EngineHost"] = partial(EngineHost, factory=build_deadly_engine)
    sys.argv = ["sightstream", "worker"]
    main()


if __name__ == "__main__":
    run()
