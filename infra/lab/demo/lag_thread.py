"""Reads lag in the background, since asking the broker can take longer than the screen may stand still."""

from __future__ import annotations

import threading

from sightstream.consumers.kafka.types import KafkaReadError
from sightstream.consumers.lag.reader import open_lag_reader
from sightstream.consumers.lag.settings import LagSettings
from sightstream.consumers.lag.types import GroupLag
from sightstream.schemas.connections.kafka import KafkaSettings

INTERVAL_S = 1.0


class LagThread:
    """A thread that keeps the group's last reading in `newest`, None before the first. The caller must close it."""

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
            while not self._stop.wait(INTERVAL_S):
                try:
                    (self.newest,) = self._reader.read()
                except KafkaReadError:
                    continue  # during a rebalance; the screen keeps the last reading
