"""Reads lag in the background: asking the broker can take longer than a screen may stand still."""

from __future__ import annotations

import threading

from sightstream.consumers.kafka.types import KafkaReadError
from sightstream.consumers.lag.reader import open_lag_reader
from sightstream.consumers.lag.settings import LagSettings
from sightstream.consumers.lag.types import GroupLag
from sightstream.schemas.connections.kafka import KafkaSettings

EVERY_S = 1.0


class LagThread:
    """`newest` is the group's last reading, None before the first. Close it."""

    def __init__(self, kafka: KafkaSettings, group: str, topic: str) -> None:
        self.newest: GroupLag | None = None
        self._stop = threading.Event()
        self._reader = open_lag_reader(kafka, LagSettings(), {group: (topic,)})
        self._thread = threading.Thread(target=self._run, name="lag", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        with self._reader:
            while not self._stop.wait(EVERY_S):
                try:
                    (self.newest,) = self._reader.read()
                except KafkaReadError:
                    continue  # in the middle of a rebalance; the screen keeps the last reading
