"""Names to judged addresses, within a time limit, remembered for a moment."""

from __future__ import annotations

import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from sightstream.pipeline.errors import PipelineError
from sightstream.pipeline.fetch.address import GetAddresses, resolve
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.fetch.time_limit import TimeLimit
from sightstream.pipeline.fetch.trouble import Transient, Trouble

MAX_NAMES = 1024
MAX_LOOK_UPS = 64

Addresses = tuple[str, ...]


class Resolver:
    """Thread safe. What it remembers was judged as a whole; refusals are not remembered."""

    def __init__(
        self,
        settings: FetchSettings,
        clock: Callable[[], float] = time.monotonic,
        getaddrinfo: GetAddresses | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._getaddrinfo = getaddrinfo
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, int], tuple[float, Addresses]] = OrderedDict()
        self._look_ups = threading.BoundedSemaphore(MAX_LOOK_UPS)

    def addresses(self, host: str, port: int, limit: TimeLimit) -> Addresses:
        """Raises as `resolve` does, and Transient when DNS takes longer than `limit`."""
        known = self._remembered(host, port)
        if known is None:
            known = self._ask(host, port, limit)
            self._remember(host, port, known)
        return known

    def _remembered(self, host: str, port: int) -> Addresses | None:
        with self._lock:
            until, addresses = self._known.get((host, port), (0.0, ()))
        return addresses if addresses and self._clock() < until else None

    def _remember(self, host: str, port: int, addresses: Addresses) -> None:
        with self._lock:
            self._known[host, port] = (self._clock() + self._settings.dns_cache_s, addresses)
            self._known.move_to_end((host, port))
            if len(self._known) > MAX_NAMES:
                self._known.popitem(last=False)

    def _ask(self, host: str, port: int, limit: TimeLimit) -> Addresses:
        """On a thread of its own: the system's resolver has time limits of its own, which can add up to minutes."""
        if not self._look_ups.acquire(timeout=limit.left_s()):
            raise Transient(Trouble.SLOW, "too many look-ups of names wait for DNS")
        answer: queue.SimpleQueue[Addresses | Exception] = queue.SimpleQueue()
        threading.Thread(target=self._look_up, args=(host, port, answer), name="dns", daemon=True).start()
        try:
            found = answer.get(timeout=limit.left_s())
        except queue.Empty:
            raise Transient(Trouble.SLOW, "the host's name was not resolved in time") from None
        if isinstance(found, Exception):
            raise found
        return found

    def _look_up(self, host: str, port: int, answer: queue.SimpleQueue[Addresses | Exception]) -> None:
        try:
            answer.put(resolve(host, port, self._settings.allow_private_addresses, self._getaddrinfo))
        except PipelineError as error:
            answer.put(error)
        except Exception as error:
            answer.put(Transient(Trouble.BROKEN, f"the look-up of the host's name failed: {type(error).__name__}"))
        finally:
            self._look_ups.release()
