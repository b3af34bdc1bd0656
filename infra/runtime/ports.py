"""Chooses the ports of a local runtime, all on the loopback interface."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice

from sightstream.infra.runtime.errors import RuntimeFailedError

LOOPBACK = "127.0.0.1"
KAFKA_PORTS = ("kafka", "controller")
STORE_PORTS = tuple(f"{part}.port{kind}" for part in ("s3", "filer", "master", "volume") for kind in ("", ".grpc"))
ADMIN_PORT = "admin.port"
ADMIN_GRPC_PORT = "admin.port.grpc"
ADMIN_GRPC_OFFSET = 10_000  # SeaweedFS's own worker looks for it there and ignores the option
# Below the range that Linux and macOS give to outgoing connections. Inside it, a client that keeps trying to reach
# a killed broker can be handed the broker's own port as its source, connect to itself, and so block the restart.
CANDIDATES = range(20_000, 32_000)


def choose_ports() -> dict[str, int]:
    """Return a free port for every name above. Raises RuntimeFailedError when there are too few."""
    low = range(CANDIDATES.start, CANDIDATES.stop - ADMIN_GRPC_OFFSET)
    admin = next((port for port in _free(low) if all_free([port + ADMIN_GRPC_OFFSET])), None)
    names = (*KAFKA_PORTS, *STORE_PORTS)
    others = (port for port in _free(CANDIDATES) if port % ADMIN_GRPC_OFFSET != (admin or 0) % ADMIN_GRPC_OFFSET)
    ports = dict(zip(names, others, strict=False))
    if admin is None or len(ports) < len(names):
        raise RuntimeFailedError(f"too few free ports between {CANDIDATES.start} and {CANDIDATES.stop} on {LOOPBACK}")
    return {**ports, ADMIN_PORT: admin, ADMIN_GRPC_PORT: admin + ADMIN_GRPC_OFFSET}


def free_ports(count: int) -> list[int]:
    """Return that many different free ports."""
    return list(islice(_free(CANDIDATES), count))


def all_free(ports: Iterable[int]) -> bool:
    """Return True if a server could listen on every one of these ports now."""
    with ExitStack() as stack:
        for port in ports:
            listener = stack.enter_context(socket.socket())
            # As servers do, so that closing connections of an earlier run do not count.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((LOOPBACK, port))
            except OSError:
                return False
    return True


def _free(candidates: range) -> Iterator[int]:
    """Yield free ports in random order, so that two runtimes that start at once rarely choose the same."""
    shuffled = secrets.SystemRandom().sample(candidates, len(candidates))
    return (port for port in shuffled if all_free([port]))
