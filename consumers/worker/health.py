"""What a worker says of itself to probes. Nothing that is away, and no child that is being replaced, ends a worker."""

from __future__ import annotations

import time
from collections.abc import Callable

from sightstream.consumers.probes import Check, LoopHealth
from sightstream.consumers.worker.topic_watch import TopicWatch
from sightstream.pipeline.engine.status import EngineStatus
from sightstream.pipeline.flow import Flow

STARTING = "starting"
# A turn may hold a commit that waits for a broker, which has its own limits. Beyond this the loop itself is stuck.
STUCK_AFTER_INTERVALS = 2
BROKER_SILENT_S = 30.0


class WorkerHealth:
    """Thread safe. Before `watch` the worker is alive and not ready."""

    def __init__(self, max_poll_interval_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._loop = LoopHealth(STUCK_AFTER_INTERVALS * max_poll_interval_s, "loop", clock)
        self._flow: Flow | None = None
        self._topic_watch: TopicWatch | None = None

    def watch(self, flow: Flow, topic_watch: TopicWatch) -> None:
        """From now on tell of these, too."""
        self._flow, self._topic_watch = flow, topic_watch

    def turned(self) -> None:
        """The worker's loop begins another turn."""
        self._loop.turned()

    def alive(self) -> list[Check]:
        return [*self._loop.alive(), Check("children", self._children_problem())]

    def _children_problem(self) -> str | None:
        if self._flow is None:
            return None
        if not self._flow.is_running:
            return "a thread of the flow has ended"
        engine = self._flow.engine_status()
        return None if engine is None or engine.is_supervised else "the engine is given up"

    def ready(self) -> list[Check]:
        engine = None if self._flow is None else self._flow.engine_status()
        return [
            Check("reachable", self._reach_problem(engine)),
            Check("model", None if engine and engine.model else "not loaded"),
            Check("canary", engine.canary_problem if engine else STARTING),
            Check("memory", engine.memory_problem if engine else STARTING),
        ]

    def _reach_problem(self, engine: EngineStatus | None) -> str | None:
        if self._topic_watch is None:
            return STARTING
        silent_s = self._clock() - self._topic_watch.answered_at
        if silent_s > BROKER_SILENT_S:
            return f"no answer of the broker for {silent_s:.0f} s"
        return "the model server gives no answer" if engine and engine.unreachable else None

    def status(self) -> dict[str, object]:
        flow, document = self._flow, self._loop.status()
        if flow is not None:
            document |= {"free_capacity": flow.free_capacity, "held_bytes": flow.held_bytes}
            document["engine"] = _document(flow.engine_status())
        return document


def _document(engine: EngineStatus | None) -> dict[str, object] | None:
    if engine is None:
        return None
    return {
        "model": engine.model.model_dump() if engine.model else None,
        "device": engine.device,
        "accepts_work": engine.accepts_work,
        "unreachable": engine.unreachable,
        "reserved_bytes": engine.reserved_bytes,
        "reserved_at_start_bytes": engine.reserved_at_start_bytes,
    }
