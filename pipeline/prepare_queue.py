"""The requests that wait for a preparation thread, and which of them starts next.

A request starts only when the store or host that it needs can serve it now, so none waits for its turn on a thread.
Stores and hosts come in turn. One alone may use all threads but a reserve; so may all of a group together, such as the
foreign hosts, since publishers can name as many as they like. The reserve keeps slow ones from holding the others.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from sightstream.pipeline.in_flight import InFlightRequest
from sightstream.pipeline.stages import Server

# A fetch that runs for longer says that its server is slow, and not that this worker is busy.
SLOW_FETCH_S = 1.0


@dataclass(slots=True, eq=False)
class _ServerQueue:
    """What waits for one server and what works on its images; `fetching` has the start of each fetch, oldest first."""

    server: Server
    waiting: deque[InFlightRequest] = field(default_factory=deque)
    fetching: dict[Turn, float] = field(default_factory=dict)
    threads: int = 0


@dataclass(slots=True, eq=False)
class Turn:
    """A request that a thread works on: call `end_fetch` once its image is read or not, and `end` when it is done."""

    request: InFlightRequest
    end_fetch: Callable[[], None] = lambda: None
    end: Callable[[], None] = lambda: None


class PrepareQueue:
    """Thread safe. `put` never blocks; `get` blocks until a request may start."""

    def __init__(self, max_threads_for_one: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_for_one, self._clock = max_threads_for_one, clock
        self._queues: OrderedDict[str, _ServerQueue] = OrderedDict()  # the one that started last is at the end
        self._threads: Counter[str] = Counter()  # by group
        self._closed = False
        self._change = threading.Condition()

    def __len__(self) -> int:
        """Count the requests that wait."""
        with self._change:
            return sum(len(queue.waiting) for queue in self._queues.values())

    def put(self, request: InFlightRequest) -> None:
        """Queue a request for its server."""
        with self._change:
            self._queue_for(request.server).waiting.append(request)
            self._change.notify()

    def put_back(self, request: InFlightRequest, server: Server) -> None:
        """Queue a request again whose fetch found that `server` has no capacity, before all others that wait for it."""
        request.server = server
        with self._change:
            self._queue_for(server).waiting.appendleft(request)
            self._change.notify()

    def _queue_for(self, server: Server) -> _ServerQueue:
        queue = self._queues.setdefault(server.name, _ServerQueue(server))
        queue.server = server  # the latest: a limiter that nobody used for long may have been replaced
        return queue

    def get(self) -> Turn | None:
        """Return the next request that may start, None once closed. `Turn.end` must follow."""
        with self._change:
            while not self._closed:
                if (queue := self._next()) is not None:
                    return self._start(queue)
                self._change.wait()
            return None

    def _next(self) -> _ServerQueue | None:
        return next((queue for queue in self._queues.values() if queue.waiting and self._may_start(queue)), None)

    def _may_start(self, queue: _ServerQueue) -> bool:
        server = queue.server
        has_thread = self._threads[server.group] < self._max_for_one
        return has_thread and server.has_capacity and len(queue.fetching) < server.limit

    def _start(self, queue: _ServerQueue) -> Turn:
        turn = Turn(queue.waiting.popleft())
        turn.end_fetch, turn.end = lambda: self._end_fetch(queue, turn), lambda: self._end(queue, turn)
        queue.fetching[turn] = self._clock()
        self._count_threads(queue, 1)
        self._queues.move_to_end(queue.server.name)
        if self._next() is not None:
            self._change.notify()
        return turn

    def _end_fetch(self, queue: _ServerQueue, turn: Turn) -> None:
        with self._change:
            if queue.fetching.pop(turn, None) is not None and self._next() is not None:
                self._change.notify()

    def _end(self, queue: _ServerQueue, turn: Turn) -> None:
        """Free the thread, which calls `get` next: nobody needs to be woken."""
        with self._change:
            queue.fetching.pop(turn, None)
            self._count_threads(queue, -1)
            if not queue.waiting and not queue.threads:
                del self._queues[queue.server.name]

    def _count_threads(self, queue: _ServerQueue, change: int) -> None:
        queue.threads += change
        self._threads += Counter({queue.server.group: change})  # drops a group without threads

    def held_back(self, server: str | None = None) -> int:
        """Return how many requests wait although threads are free, because their servers are slow; or those of one."""
        with self._change:
            return sum(len(queue.waiting) for queue in self._slow_queues() if server in (None, queue.server.name))

    def held_back_questions(self) -> int:
        """Return how many questions these requests have in work."""
        with self._change:
            return sum(request.active_questions for queue in self._slow_queues() for request in queue.waiting)

    def _slow_queues(self) -> list[_ServerQueue]:
        now = self._clock()
        return [queue for queue in self._queues.values() if self._is_slow(queue, now)]

    def _is_slow(self, queue: _ServerQueue, now: float) -> bool:
        started = next(iter(queue.fetching.values()), now)
        return now - started >= SLOW_FETCH_S and not self._may_start(queue)

    def close(self) -> None:
        """End every `get`; what waits is dropped."""
        with self._change:
            self._closed = True
            self._change.notify_all()
