"""Runs `sightstream worker` with a gate before its engine and with faults at named points of its commits.

    python -m tests.faults.faulty_worker GATE LOG RECORDS [ACTION@POINT ...]

GATE is the file that opens the gate, LOG receives a line per event. RECORDS is how many records the worker produces
before the first fault; see faulty_clients.py for the actions and points. Where FAULTS_ARMED names a file in the
environment, no fault happens before that file is there.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from tests.faults import gated_engine

ARMED = "FAULTS_ARMED"


def run(gate: str, log: str, records: str, *faults: str) -> None:
    from sightstream.consumers.worker import transactions, worker
    from sightstream.infra import flow
    from sightstream.infra.cli.app import main
    from sightstream.pipeline.build import build_flow
    from tests.faults.faulty_clients import Faults, FaultyConsumer, FaultyProducer

    armed = Path(os.environ[ARMED]) if ARMED in os.environ else None
    FaultyProducer.faults = FaultyConsumer.faults = Faults(list(faults), int(records), Path(log), armed)
    vars(transactions)["Producer"] = FaultyProducer
    vars(worker)["Consumer"] = FaultyConsumer
    engine_factory = partial(gated_engine.build_gated_engine, Path(gate), Path(log))
    vars(flow)["build_flow"] = partial(build_flow, engine_factory=engine_factory)
    sys.argv = ["sightstream", "worker"]
    main()


if __name__ == "__main__":
    run(*sys.argv[1:])
