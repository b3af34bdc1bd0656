"""The engine as `bench engine` builds it, in a worker's engine process, with its work on the device written down."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sightstream.infra.lab.bench.system.activity import SUFFIX, ActivityLog, Interval, Kind
from sightstream.pipeline.engine.build import build_engine
from sightstream.pipeline.engine.protocol import Engine, ProgressCallback
from sightstream.pipeline.engine.settings import EngineSettings

DRAIN_INTERVAL_S = 0.1


@dataclass(frozen=True, slots=True)
class RecordedEngine:
    """Builds the engine around the model of this name; its process writes its activity into `folder`. Picklable."""

    model: str
    folder: Path

    def __call__(self, settings: EngineSettings, on_progress: ProgressCallback) -> Engine:
        log = ActivityLog(self.folder / f"{os.getpid()}{SUFFIX}")
        if settings.kind in ("simulated", "remote"):
            return _with_noted_jobs(build_engine(settings, on_progress), log)
        from sightstream.infra.lab.bench.engine.engines import build_engine_for
        from sightstream.infra.lab.bench.engine.models import checkpoint_for
        from sightstream.infra.lab.bench.engine.options import BenchOptions

        checkpoint = checkpoint_for(BenchOptions(settings, self.model))  # type: ignore[arg-type] # one of its models
        engine = build_engine_for(checkpoint, settings, on_progress)
        if settings.kind != "slots":
            return _with_noted_jobs(engine, log)
        on_gpu = checkpoint.model.device.type == "cuda"
        record_work(DeviceStopwatch(log) if on_gpu else HostStopwatch(log), log)
        return engine


def _with_noted_jobs(engine: Engine, log: ActivityLog) -> Engine:
    """Return the same engine; that it gets a job is all that is noted."""
    _measure(type(engine), "submit", "job", HostStopwatch(log))
    return engine


class Stopwatch(Protocol):
    """Measures the work that is started inside a block."""

    def measured(self, kind: Kind) -> AbstractContextManager[None]: ...


class HostStopwatch:
    """For a device that is the host: work has ended when its call returns."""

    def __init__(self, log: ActivityLog) -> None:
        self._log = log

    @contextmanager
    def measured(self, kind: Kind) -> Iterator[None]:
        start = time.monotonic()
        yield
        self._log.add(Interval(kind, start, time.monotonic()))


class DeviceStopwatch:
    """For a GPU: two CUDA events around the work, on the current stream, read later by a thread of their own."""

    def __init__(self, log: ActivityLog) -> None:
        import torch

        self._log = log
        self._event: Callable[[], Any] = functools.partial(torch.cuda.Event, enable_timing=True)
        self._running: deque[tuple[Kind, Any, Any]] = deque()
        self._draining = threading.Lock()
        torch.cuda.synchronize()
        self._zero = self._recorded()
        self._zero.synchronize()
        self._zero_at = time.monotonic()
        threading.Thread(target=self._drain_for_ever, name="activity", daemon=True).start()

    @contextmanager
    def measured(self, kind: Kind) -> Iterator[None]:
        start = self._recorded()
        yield
        self._running.append((kind, start, self._recorded()))

    def _recorded(self) -> Any:
        event = self._event()
        event.record()
        return event

    def _drain_for_ever(self) -> None:
        while True:
            time.sleep(DRAIN_INTERVAL_S)
            self.drain()

    def drain(self) -> None:
        """Write down what the device has done by now."""
        with self._draining:
            while self._running and self._running[0][2].query():
                kind, start, end = self._running.popleft()
                self._log.add(Interval(kind, self._moment(start), self._moment(end)))

    def _moment(self, event: Any) -> float:
        seconds: float = self._zero.elapsed_time(event) / 1000
        return self._zero_at + seconds


def record_work(stopwatch: Stopwatch, log: ActivityLog) -> None:
    """Let the slot engine's parts in this process note their work from now on."""
    from sightstream.pipeline.engine.slots.decode_step import DecodeStep
    from sightstream.pipeline.engine.slots.encoder_cache import EncoderCache
    from sightstream.pipeline.engine.slots.pending_tokens import TokenSampler
    from sightstream.pipeline.engine.slots.prefill import Prefill
    from sightstream.pipeline.engine.slots.vision import VisionEncoder

    _measure(VisionEncoder, "encode", "look", stopwatch)
    _measure(Prefill, "run", "prefill", stopwatch)
    _measure(DecodeStep, "launch", "step", stopwatch)
    _measure(TokenSampler, "launch", "step", stopwatch)
    _note_hits(EncoderCache, log)


def _measure(owner: type, name: str, kind: Kind, stopwatch: Stopwatch) -> None:
    method = getattr(owner, name)

    @functools.wraps(method)
    def measured(*arguments: Any, **options: Any) -> Any:
        with stopwatch.measured(kind):
            return method(*arguments, **options)

    setattr(owner, name, measured)


def _note_hits(owner: type, log: ActivityLog) -> None:
    get = owner.get  # type: ignore[attr-defined] # the encoder cache's

    @functools.wraps(get)
    def noted(*arguments: Any) -> Any:
        states = get(*arguments)
        if states is not None:
            log.add(Interval("encoder_cache_hit", time.monotonic(), time.monotonic()))
        return states

    setattr(owner, "get", noted)  # noqa: B010 - a type has no such attribute that could be assigned
