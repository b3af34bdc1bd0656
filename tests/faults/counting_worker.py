"""`sightstream worker` with the engine of counting_engine.py.

    python -m tests.faults.counting_worker

The path of its file comes in the environment.
"""

from __future__ import annotations

import os
import sys
from functools import partial

import sightstream.pipeline.build as flow_builder
from sightstream.infra.cli.app import main
from sightstream.pipeline.engine.host import EngineHost
from tests.faults.counting_engine import build_counting

LOG_VARIABLE = "FAULTS_INFERENCE_LOG"


if __name__ == "__main__":
    factory = partial(build_counting, os.environ[LOG_VARIABLE])
    setattr(flow_builder, "EngineHost", partial(EngineHost, factory=factory))  # noqa: B010 - a class there
    sys.argv[1:] = ["worker"]
    main()
