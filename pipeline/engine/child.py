"""The engine's process: jobs in, endings and heartbeats out."""

from __future__ import annotations

import queue
import threading
import time
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection

from pipeline.engine.build import EngineFactory
from pipeline.engine.protocol import Engine
from pipeline.engine.settings import EngineSettings
from pipeline.errors import Fatal
from pipeline.orphan import end_with_parent
from pipeline.types import EngineJob
from schemas.result import ModelIdentity

IDLE_WAIT_S = 0.2
BEAT_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded."""

    identity: ModelIdentity
    capacity: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The engine can't be built; starting again won't help."""

    detail: str


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of progress."""


@dataclass(frozen=True, slots=True)
class Cancel:
    job_id: int


class Heart:
    """Tells the parent that work goes on, seldom enough to cost nothing."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._last = 0.0

    def beat(self) -> None:
        now = time.monotonic()
        if now - self._last >= BEAT_EVERY_S:
            self._last = now
            self._connection.send(Beat())


def serve(connection: Connection, settings: EngineSettings, factory: EngineFactory) -> None:
    """Until the parent closes the pipe."""
    end_with_parent()
    warnings.simplefilter("ignore", FutureWarning)  # libraries talking to each other; once a process, in every log
    heart = Heart(connection)
    try:
        engine = factory(settings, heart.beat)
    except Fatal as error:
        connection.send(Failed(str(error)))
        return
    connection.send(Ready(engine.identity, engine.capacity()))
    inbox: queue.SimpleQueue[EngineJob | Cancel | None] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, inbox), daemon=True).start()
    held: set[int] = set()
    while _hand_over(inbox, engine, held):
        for finished in engine.finished(0):
            held.discard(finished.id)
            connection.send(finished)
        heart.beat()


def _receive(connection: Connection, inbox: queue.SimpleQueue[EngineJob | Cancel | None]) -> None:
    """Empties the pipe at once, so that the parent never waits for a busy model."""
    try:
        while True:
            inbox.put(connection.recv())
    except (EOFError, OSError):
        inbox.put(None)


def _hand_over(inbox: queue.SimpleQueue[EngineJob | Cancel | None], engine: Engine, held: set[int]) -> bool:
    """Everything that came in; waits a moment for it when the engine has nothing to do. False: the parent is gone."""
    wait = 0 if held else IDLE_WAIT_S
    while True:
        try:
            message = inbox.get(timeout=wait)
        except queue.Empty:
            return True
        wait = 0
        if message is None:
            return False
        if isinstance(message, Cancel):
            engine.cancel(message.job_id)
        else:
            held.add(message.id)
            engine.submit(message)
