"""The engine's process: it receives jobs, and sends finished jobs and heartbeats."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import TypeVar

from sightstream.pipeline.engine.build import EngineFactory
from sightstream.pipeline.engine.child_log import LogForwarder, LogLine
from sightstream.pipeline.engine.device import device_name, reserved_bytes, torch_version
from sightstream.pipeline.engine.protocol import Engine
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.errors import Fatal
from sightstream.pipeline.memory_file import MemoryFile
from sightstream.pipeline.shared_memory_pool import Block
from sightstream.pipeline.shortage import shortage
from sightstream.pipeline.types import Canvas, EngineJob, FinishedJob, Pixels
from sightstream.schemas.wire.dead_letter import Stage
from sightstream.schemas.wire.result import ModelIdentity

IDLE_WAIT_S = 0.2
BUSY_WAIT_S = 0.02  # an engine that works in this process never waits; one that asks a server must not spin
HEARTBEAT_INTERVAL_S = 0.5
EXIT_CRASHED = 70


@dataclass(frozen=True, slots=True)
class EngineReady:
    """The model is loaded; `device` is empty where this process computes nothing itself."""

    identity: ModelIdentity
    capacity: int
    device: str = ""
    torch: str = ""
    reserved_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class EngineUnusable:
    """The engine can't be built, or can't do any job any more; a restart would not help."""

    detail: str


@dataclass(frozen=True, slots=True)
class EngineCrashed:
    """The engine raised an error that it can't recover from, such as a CUDA error: the process ends.

    `is_short`: its machine was out of memory or the like.
    """

    error: str
    trace: str
    is_short: bool = False


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The engine's work has advanced; it answers `running` jobs now."""

    running: int = 0
    reserved_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class CancelJob:
    job_id: int


Message = EngineReady | EngineUnusable | EngineCrashed | Heartbeat | LogLine | list[FinishedJob]
T = TypeVar("T", bound=Pixels | Canvas)
Inbox = queue.SimpleQueue[list[EngineJob | CancelJob] | None]


class HeartbeatSender:
    """Sends rate-limited heartbeats to the parent, and what was logged meanwhile.

    `running` is the engine's, once that is built.
    """

    def __init__(self, connection: Connection, log: LogForwarder) -> None:
        self._connection, self._log = connection, log
        self._last = 0.0
        self.running: Callable[[], int] = lambda: 0

    def send(self) -> None:
        self._log.flush_to(self._connection.send)
        now = time.monotonic()
        if now - self._last >= HEARTBEAT_INTERVAL_S:
            self._last = now
            self._connection.send(Heartbeat(self.running(), reserved_bytes()))


def serve(
    connection: Connection, settings: EngineSettings, factory: EngineFactory, memory: MemoryFile | None = None
) -> None:
    """Serve jobs until the parent closes the pipe. `memory` holds the images of jobs that come without their bytes."""
    warnings.simplefilter("ignore", FutureWarning)  # libraries warn each other, once per process, in every log
    log = LogForwarder()
    logging.basicConfig(handlers=[log], force=True)
    try:
        _work(connection, settings, factory, memory, log)
    except Fatal as error:
        _give_up(connection, log, str(error))
    except ModuleNotFoundError as error:
        _give_up(connection, log, f"the engine needs the package {error.name}: install sightstream[worker]")
    except Exception as error:
        trace = "".join(traceback.format_tb(error.__traceback__))
        with contextlib.suppress(OSError):
            log.flush_to(connection.send)
            is_short = shortage(error, Stage.INFER) is not None
            connection.send(EngineCrashed(f"{type(error).__name__}: {error}", trace, is_short))
        os._exit(EXIT_CRASHED)  # at once: with its GPU in a bad state a process may hang in its own clean-up


def _give_up(connection: Connection, log: LogForwarder, detail: str) -> None:
    with contextlib.suppress(OSError):  # a parent that has given up itself does not listen
        log.flush_to(connection.send)
        connection.send(EngineUnusable(detail))


def _work(
    connection: Connection,
    settings: EngineSettings,
    factory: EngineFactory,
    memory: MemoryFile | None,
    log: LogForwarder,
) -> None:
    heartbeats = HeartbeatSender(connection, log)
    engine = factory(settings, heartbeats.send)
    heartbeats.running = engine.running
    device = (device_name(settings), torch_version(), reserved_bytes())
    connection.send(EngineReady(engine.identity, engine.capacity(), *device))
    inbox: Inbox = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, inbox, memory), daemon=True).start()
    unfinished: set[int] = set()
    while _submit_received(inbox, engine, unfinished):
        if finished := engine.finished(BUSY_WAIT_S if unfinished else 0):
            unfinished.difference_update(job.id for job in finished)
            connection.send(finished)
        heartbeats.send()


def _receive(connection: Connection, inbox: Inbox, memory: MemoryFile | None) -> None:
    """Empty the pipe at once, so that the parent never waits for a busy model."""
    try:
        while True:
            messages = connection.recv()
            inbox.put([_with_local_pixels(each, memory) if isinstance(each, EngineJob) else each for each in messages])
    except (EOFError, OSError):
        inbox.put(None)


def _with_local_pixels(job: EngineJob, memory: MemoryFile | None) -> EngineJob:
    """Return the job with its images where this process has the shared memory mapped."""
    if memory is None:
        return job
    more = tuple(_local(pixels, memory) for pixels in job.more_pixels)
    return replace(job, pixels=_local(job.pixels, memory), more_pixels=more)


def _local(pixels: T, memory: MemoryFile) -> T:
    return replace(pixels, rgb=pixels.rgb.within(memory)) if isinstance(pixels.rgb, Block) else pixels


def _submit_received(inbox: Inbox, engine: Engine, unfinished: set[int]) -> bool:
    """Submit all that was received, after a short wait if the engine is idle. Return False when the parent is gone."""
    wait = 0 if unfinished else IDLE_WAIT_S
    while True:
        try:
            messages = inbox.get(timeout=wait)
        except queue.Empty:
            return True
        wait = 0
        if messages is None:
            return False
        for message in messages:
            if isinstance(message, CancelJob):
                engine.cancel(message.job_id)
            else:
                unfinished.add(message.id)
                engine.submit(message)
