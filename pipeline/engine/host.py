"""The parent's side of the engine process: restarts it, feeds it, and accounts for its jobs after a crash."""

from __future__ import annotations

import atexit
import contextlib
import logging
import multiprocessing
import queue
import selectors
import threading
import time
from collections.abc import Callable

from sightstream.pipeline.engine import child_log
from sightstream.pipeline.engine.build import EngineFactory, build_engine
from sightstream.pipeline.engine.canary import Canary, NextStep
from sightstream.pipeline.engine.child import (
    CancelJob,
    EngineCrashed,
    EngineReady,
    EngineUnusable,
    Heartbeat,
    Message,
)
from sightstream.pipeline.engine.child_log import LogLine
from sightstream.pipeline.engine.failure_counts import FailureCounts
from sightstream.pipeline.engine.known_answer import CanaryRecords
from sightstream.pipeline.engine.process import EngineProcess
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.status import EngineStatus
from sightstream.pipeline.engine.triage import Triage
from sightstream.pipeline.errors import Cancelled, Fatal
from sightstream.pipeline.memory_file import MemoryFile
from sightstream.pipeline.metrics import ENGINE_RESTARTS, QUEUED, REPEATED, SLOTS, SLOTS_USED
from sightstream.pipeline.types import EngineJob, FinishedJob
from sightstream.schemas.wire.result import ModelIdentity

log = logging.getLogger(__name__)

TICK_S = 0.25
EXCHANGE_INTERVAL_S = 0.02  # messages within one are sent together; a full model takes longer for a step
STOP_TIMEOUT_S = 1.0
START_RETRY_S = 1.0
PROGRESS_TIMEOUT_S = 60.0

_QUEUE, _REPEATED = QUEUED.labels("infer"), REPEATED.labels("engine_restart")


class EngineHost:
    """An `Engine` whose work is done by a child process. Thread safe.

    One thread exchanges messages with the child. A child that crashes, or shows no progress for `hang_timeout_s` while
    it has jobs, is replaced, and its jobs go through triage. Three failed starts in a row are Fatal, and so are
    `max_consecutive_crashes` without an answer between them, or as many kills from outside. `memory` holds the images
    of its jobs.

    Each new process, and an idle one now and then, is sent the canary; see there what a wrong answer leads to.
    `records` keeps the right one over restarts.
    """

    def __init__(
        self,
        settings: EngineSettings,
        factory: EngineFactory = build_engine,
        clock: Callable[[], float] = time.monotonic,
        memory: MemoryFile | None = None,
        records: CanaryRecords | None = None,
    ) -> None:
        """Raises Fatal when the file with the canary's answer can't be read."""
        self._settings = settings
        self._factory = factory
        self._memory = memory
        self._clock = clock
        self._lock = threading.Lock()
        self._canary = Canary(settings, clock, records)
        self._triage = Triage(self._canary.job)
        self._reserved_bytes: int | None = None
        self._cancels: list[int] = []
        self._finished_jobs: queue.SimpleQueue[FinishedJob] = queue.SimpleQueue()
        self._ready: EngineReady | None = None
        self._identity: ModelIdentity | None = None
        self._running = 0
        self._fatal: Fatal | None = None
        self._stopping = threading.Event()
        self._failures = FailureCounts(settings.max_consecutive_crashes)
        self._last_heartbeat_at = 0.0
        self._last_check_at = clock()
        self._last_exchange_at = 0.0
        self._loaded = threading.Event()
        self._loading_since, self._loaded_at = clock(), float("-inf")
        self._wake_reader, self._wake_writer = multiprocessing.Pipe(duplex=False)
        self._woken = False  # a wake-up is on its way
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake_reader, selectors.EVENT_READ)
        self._start()
        self._thread = threading.Thread(target=self._run, name="engine-host", daemon=True)
        self._thread.start()
        atexit.register(self.stop)  # the child would end a little later than this process

    # --- the Engine protocol ------------------------------------------------------------------------------

    @property
    def identity(self) -> ModelIdentity:
        """Blocks until the model is loaded. Raises Fatal when it can't be."""
        self._loaded.wait()
        if self._identity is None:
            raise self._fatal or Fatal("the engine was stopped before it was ready")
        return self._identity

    def submit(self, job: EngineJob) -> None:
        with self._lock:
            self._triage.add(job)
        self._wake()

    def finished(self, timeout: float) -> list[FinishedJob]:
        if self._fatal is not None:
            raise self._fatal
        self._end_if_hung()
        found = []
        with contextlib.suppress(queue.Empty):
            found.append(self._finished_jobs.get(timeout=timeout))
            while True:
                found.append(self._finished_jobs.get_nowait())
        return found

    def cancel(self, job_id: int) -> None:
        with self._lock:
            dropped = self._triage.drop(job_id)
            if not dropped:
                self._cancels.append(job_id)
        if dropped:
            self._finished_jobs.put(FinishedJob(job_id, Cancelled("cancelled before it started")))
        else:
            self._wake()

    def capacity(self) -> int:
        ready = self._ready
        return ready.capacity if ready else self._settings.batch

    def running(self) -> int:
        return self._running

    @property
    def accepts_work(self) -> bool:
        return self._canary.accepts_work

    def status(self) -> EngineStatus:
        """Return what probes ask for. Never blocks."""
        ready = self._ready
        return EngineStatus(
            is_supervised=self._thread.is_alive() and self._fatal is None,
            model=ready.identity if ready else None,
            device=ready.device if ready else "",
            accepts_work=self._canary.accepts_work,
            canary_problem=self._canary_problem(),
            unreachable=self._canary.unreachable,
            reserved_bytes=self._reserved_bytes,
            reserved_at_start_bytes=ready.reserved_bytes if ready else None,
        )

    def _canary_problem(self) -> str | None:
        """While the engine has jobs, its progress stands for the canary."""
        if (late_s := self._canary.late_s) is not None:
            return f"no answer, {late_s:.0f} s over its time"
        silent_s = self._clock() - self._last_heartbeat_at
        if self._triage.busy and silent_s > PROGRESS_TIMEOUT_S:
            return f"no progress for {silent_s:.0f} s"
        return self._canary.problem

    def stop(self) -> None:
        atexit.unregister(self.stop)
        self._stopping.set()
        self._wake()
        self._thread.join(STOP_TIMEOUT_S)
        self._process.kill()
        self._thread.join()

    def loaded_at(self) -> float:
        """Return when the first process had loaded the model, by the clock; minus infinity before."""
        return self._loaded_at

    # --- the thread that exchanges messages with the child ------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set() and self._fatal is None:
            try:
                self._exchange()
            except Fatal as error:
                self._give_up(str(error))
            except Exception as error:
                log.exception("the engine's host failed")
                self._give_up(f"the engine's host failed: {type(error).__name__}")
        self._close_pipe()  # an idle child exits when its pipe closes
        self._selector.close()
        self._process.wait(STOP_TIMEOUT_S)
        self._process.end()
        self._loaded.set()

    def _exchange(self) -> None:
        try:
            self._send()
            self._receive()
        except (EOFError, OSError):
            self._on_child_exit()

    def _send(self) -> None:
        if self._ready is None:
            return
        with self._lock:
            was_busy = self._triage.busy
            jobs = self._jobs_to_send(2 * self._ready.capacity)  # one batch running, one waiting there
            cancels, self._cancels = self._cancels, []
            _QUEUE.set(self._triage.waiting)
        if jobs and not was_busy:
            self._last_heartbeat_at = self._clock()
        if jobs or cancels:
            self._process.pipe.send([*jobs, *map(CancelJob, cancels)])

    def _jobs_to_send(self, capacity: int) -> list[EngineJob]:
        """Return the jobs to send now: the canary alone while nothing is known of this process."""
        blocks = self._canary.blocks
        if self._canary.is_due(idle=not self._triage.busy if blocks else self._triage.is_idle):
            self._canary.sent()
            return self._triage.health_check(alone=blocks)
        return [] if blocks else list(self._triage.to_send(capacity))

    def _receive(self) -> None:
        """Handle all messages; block until one has come and the last exchange is `EXCHANGE_INTERVAL_S` ago."""
        sources = [key.fileobj for key, _ in self._selector.select(TICK_S)]
        pipe = self._process.pipe
        if pipe not in sources and not self._process.is_alive() and not pipe.poll():
            raise EOFError  # a process that the child started may keep its end of the pipe open
        time.sleep(max(0.0, self._last_exchange_at + EXCHANGE_INTERVAL_S - time.monotonic()))
        self._last_exchange_at = time.monotonic()
        while ready := self._selector.select(0):
            for key, _ in ready:
                self._read_from(key.fileobj)

    def _read_from(self, source: object) -> None:
        if source is self._wake_reader:
            self._wake_reader.recv_bytes()
            with self._lock:
                self._woken = False
        else:
            self._on_message(self._process.pipe.recv())

    def _on_message(self, message: Message) -> None:
        self._last_heartbeat_at = self._clock()
        if isinstance(message, EngineReady):
            self._canary.begin(message.identity, f"{message.device} with torch {message.torch}")
            self._ready, self._reserved_bytes = message, message.reserved_bytes
            self._record_loaded(message)
            self._failures.record_start()
            self._identity = message.identity
            SLOTS.set(message.capacity)
            self._loaded.set()
        elif isinstance(message, Heartbeat):
            self._reserved_bytes = message.reserved_bytes
            self._show_running(message.running)
        elif isinstance(message, LogLine):
            child_log.write(message)
        elif isinstance(message, EngineUnusable):
            self._give_up(message.detail)
        elif isinstance(message, EngineCrashed):
            self._failures.record_error(message.error)
            self._process.end_is_known, self._process.is_short = True, message.is_short
            log.error("the engine failed: %s\n%s", message.error, message.trace)
            raise EOFError
        elif isinstance(message, list):
            self._failures.record_answer()
            for finished in message:
                self._on_finished(finished)

    def _on_finished(self, finished: FinishedJob) -> None:
        step = NextStep.GO_ON
        if finished.id == self._canary.job.id:
            step = self._canary.judge(finished.outcome)
        else:
            self._canary.worked()
        with self._lock:
            ended = self._triage.finished(finished) if step is NextStep.GO_ON else self._triage.health_check_failed()
        for job in ended:
            self._finished_jobs.put(job)
        if step is NextStep.REPLACE:
            self._process.replace()
        elif step is NextStep.GIVE_UP:
            self._give_up(self._canary.last_words)

    def _record_loaded(self, ready: EngineReady) -> None:
        model, now = ready.identity, self._clock()
        if not self._loaded.is_set():
            self._loaded_at = now
        where = f" on {ready.device}" if ready.device else ""
        kind = f"{model.quantization}, engine {model.engine}{where}"
        log.info("the model %s is ready after %.0f s: %s", model.name, now - self._loading_since, kind)

    def _show_running(self, running: int) -> None:
        self._running = running
        SLOTS_USED.set(running)

    def _wake(self) -> None:
        with self._lock:
            needed, self._woken = not self._woken, True
        if needed:
            with contextlib.suppress(OSError):
                self._wake_writer.send_bytes(b"!")

    # --- start and end of the child -----------------------------------------------------------------------

    def _start(self) -> None:
        """Start a process. Raises OSError where the machine can't."""
        self._process = EngineProcess(self._settings, self._factory, self._memory)
        self._ready = None
        self._canary.interrupt()
        self._last_heartbeat_at = self._loading_since = self._clock()
        log.info("the model is loading")
        self._selector.register(self._process.pipe, selectors.EVENT_READ)

    def _restart(self) -> None:
        """Start another process. While the machine has none to give, jobs wait: no restart of the worker would help."""
        ENGINE_RESTARTS.inc()
        while not self._stopping.is_set():
            try:
                self._start()
                return
            except OSError as error:
                log.error("the engine's process can't be started, trying again: %s", error.strerror or error)
                self._stopping.wait(START_RETRY_S)

    def _close_pipe(self) -> None:
        """Close the pipe; a second call does nothing."""
        pipe = self._process.pipe
        if not pipe.closed:
            self._selector.unregister(pipe)
            pipe.close()

    def _end_if_hung(self) -> None:
        """Kill a child without progress; on the collecting thread, since the other may be stuck in a full pipe."""
        with self._lock:
            busy = self._triage.busy
        limit = self._settings.hang_timeout_s if self._ready else self._settings.start_timeout_s
        now = self._clock()
        was_frozen, self._last_check_at = now - self._last_check_at > limit / 2, now
        if was_frozen:  # this process did not run either, and heartbeats may wait in the pipe
            self._last_heartbeat_at = now
        if (busy or self._ready is None) and now - self._last_heartbeat_at > limit:
            log.error("the engine has shown no progress for %s s; killing its process", limit)
            self._last_heartbeat_at = now
            self._process.kill()

    def _on_child_exit(self) -> None:
        code, killed = self._process.end()
        self._close_pipe()
        if self._stopping.is_set():
            return
        reason = "a cause from outside ended it" if killed else "it crashed, hung or could not start"
        log.error("the engine's process ended with code %s (%s); starting another", code, reason)
        SLOTS.set(0)
        self._show_running(0)
        with self._lock:
            _REPEATED.inc(self._triage.crashed(killed=killed))
        if give_up := self._failures.record_end(killed=killed, ready=self._ready is not None):
            self._give_up(give_up)
        else:
            self._restart()

    def _give_up(self, detail: str) -> None:
        self._fatal = Fatal(detail)
        self._loaded.set()
