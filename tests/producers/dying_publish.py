"""Runs `sightstream publish` and kills it with SIGKILL at one step of its Nth transaction.

    python -m tests.producers.dying_publish STEP N -- COMMAND LINE OF SIGHTSTREAM

STEP is `before METHOD` or `after METHOD` of confluent-kafka's Producer.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import confluent_kafka


class DyingProducer:
    """Wraps the real producer and kills the process at the chosen call."""

    when, method, calls_left = "", "", 0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._producer = _REAL(*arguments, **named)

    def __len__(self) -> int:
        return len(self._producer)

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._producer, name)
        return self._deadly(real) if name == self.method else real

    def _deadly(self, real: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            DyingProducer.calls_left -= 1
            if DyingProducer.calls_left == 0 and self.when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            answer = real(*arguments, **named)
            if DyingProducer.calls_left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return call


_REAL = confluent_kafka.Producer

if __name__ == "__main__":
    DyingProducer.when, DyingProducer.method = sys.argv[1].split()
    DyingProducer.calls_left = int(sys.argv[2])
    vars(confluent_kafka)["Producer"] = DyingProducer
    sys.argv = ["sightstream", *sys.argv[4:]]

    from sightstream.infra.cli.app import main

    main()
