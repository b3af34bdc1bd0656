"""Runs `sightstream worker` with the engine of deadly_engine.py."""

from __future__ import annotations

import sys
from functools import partial

from tests.faults.deadly_engine import build_deadly_engine


def run() -> None:
    from sightstream.infra import flow
    from sightstream.infra.cli.app import main
    from sightstream.pipeline.build import build_flow

    vars(flow)["build_flow"] = partial(build_flow, engine_factory=build_deadly_engine)
    sys.argv = ["sightstream", "worker"]
    main()


if __name__ == "__main__":
    run()
