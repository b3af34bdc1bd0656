"""Resolves host names to vetted addresses, within the deadline, and caches them for a moment."""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from sightstream.pipeline.errors import PipelineError, Rejected
from sightstream.pipeline.fetch.deadline import Deadline
from sightstream.pipeline.fetch.errors import FailureKind, TransientError, rejected
from sightstream.pipeline.fetch.http.access_rules import is_public
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.schemas.wire.dead_letter import Reason, Stage

MAX_NAMES = 1024
MAX_LOOKUPS = 64

GetAddrInfo = Callable[..., list[tuple[Any, ...]]]
Addresses = tuple[str, ...]

_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


class NoSuchHost(Rejected):
    """DNS has no such name: one request's spelling, or an outage of a host that was there."""


def resolve(host: str, port: int, allow_private: bool, getaddrinfo: GetAddrInfo | None = None) -> Addresses:
    """Return the vetted addresses of `host`, in the resolver's order. Connect to these, never to the name. Blocks.

    Raises Rejected if the name is unknown or any of its addresses is not public, TransientError if DNS does not answer.
    """
    try:
        answers = (getaddrinfo or socket.getaddrinfo)(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in _NO_SUCH_NAME:
            raise NoSuchHost(Reason.IMAGE_NOT_FOUND, Stage.FETCH, "no such host") from None
        raise TransientError(FailureKind.BROKEN, "the host's name could not be resolved") from error
    except (UnicodeError, OSError) as error:
        raise rejected(Reason.UNSUPPORTED_URI, "the host's name is not valid") from error
    addresses = tuple(dict.fromkeys(str(answer[4][0]) for answer in answers))
    if not addresses:
        raise NoSuchHost(Reason.IMAGE_NOT_FOUND, Stage.FETCH, "the host has no address")
    if not allow_private and not all(is_public(ipaddress.ip_address(address)) for address in addresses):
        raise rejected(Reason.FORBIDDEN_LOCATION, "the host is not on the public internet")
    return addresses


class Resolver:
    """Resolves and caches. Thread safe. Each cache entry was vetted as a whole; refusals are not cached."""

    def __init__(
        self,
        settings: FetchSettings,
        clock: Callable[[], float] = time.monotonic,
        getaddrinfo: GetAddrInfo | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._getaddrinfo = getaddrinfo
        self._lock = threading.Lock()
        self._cache: OrderedDict[tuple[str, int], tuple[float, Addresses]] = OrderedDict()
        self._lookups = threading.BoundedSemaphore(MAX_LOOKUPS)

    def addresses(self, host: str, port: int, deadline: Deadline) -> Addresses:
        """Return vetted addresses. Raises as `resolve` does, and TransientError at the deadline."""
        addresses = self._cached(host, port)
        if addresses is None:
            addresses = self._resolve_by(host, port, deadline)
            self._store(host, port, addresses)
        return addresses

    def _cached(self, host: str, port: int) -> Addresses | None:
        with self._lock:
            until, addresses = self._cache.get((host, port), (0.0, ()))
        return addresses if addresses and self._clock() < until else None

    def _store(self, host: str, port: int, addresses: Addresses) -> None:
        with self._lock:
            self._cache[host, port] = (self._clock() + self._settings.dns_cache_s, addresses)
            self._cache.move_to_end((host, port))
            if len(self._cache) > MAX_NAMES:
                self._cache.popitem(last=False)

    def _resolve_by(self, host: str, port: int, deadline: Deadline) -> Addresses:
        """Resolve on a separate thread: the system's resolver has timeouts of its own, which can add up to minutes."""
        if not self._lookups.acquire(timeout=deadline.remaining_s()):
            raise TransientError(FailureKind.SLOW, "too many host names wait for DNS")
        results: queue.SimpleQueue[Addresses | Exception] = queue.SimpleQueue()
        threading.Thread(target=self._resolve_into, args=(host, port, results), name="dns", daemon=True).start()
        try:
            result = results.get(timeout=deadline.remaining_s())
        except queue.Empty:
            raise TransientError(FailureKind.SLOW, "the host's name was not resolved in time") from None
        if isinstance(result, Exception):
            raise result
        return result

    def _resolve_into(self, host: str, port: int, results: queue.SimpleQueue[Addresses | Exception]) -> None:
        try:
            results.put(resolve(host, port, self._settings.allow_private_addresses, self._getaddrinfo))
        except PipelineError as error:
            results.put(error)
        except Exception as error:
            detail = f"the host's name could not be resolved: {type(error).__name__}"
            results.put(TransientError(FailureKind.BROKEN, detail))
        finally:
            self._lookups.release()
