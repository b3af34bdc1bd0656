"""A network for workers: a namespace with one cable to this machine, which can be pulled, and slowed. Needs root.

The brokers listen on addresses of this machine that the namespace can reach, not on its loopback interface. Every name
begins with PREFIX, and what an interrupted run left behind under it is removed first.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

PREFIX = "ssfault"
NAMESPACE, OUTSIDE, INSIDE = f"{PREFIX}-net", f"{PREFIX}0", f"{PREFIX}1"
# From a block that is kept for measuring networks (RFC 2544), so nobody's own addresses are hidden.
BROKERS = ("198.18.77.1", "198.18.77.2", "198.18.77.3")
OUTSIDE_ADDRESS, INSIDE_ADDRESS = "198.18.78.1", "198.18.78.2"
SLOW_KBIT = 3000
SLOW_MS = 100


@dataclass(frozen=True, slots=True)
class Network:
    """The cable between a namespace and this machine."""

    @property
    def prefix(self) -> tuple[str, ...]:
        """The words before a command that make it run inside."""
        return ("ip", "netns", "exec", NAMESPACE)

    def cut(self) -> None:
        """Lose every packet in silence, as a pulled cable does."""
        _run("ip", "link", "set", OUTSIDE, "down")

    def restore(self) -> None:
        _run("ip", "link", "set", OUTSIDE, "up")

    def slow_down(self) -> str:
        """Delay and throttle both directions; return what this kernel is able to do."""
        limits = (
            ("netem", "delay", f"{SLOW_MS}ms", "rate", f"{SLOW_KBIT}kbit"),
            ("tbf", "rate", f"{SLOW_KBIT}kbit", "burst", "32kb", "latency", "400ms"),
        )
        return next(limit[0] for limit in limits if self._limit(limit))

    def _limit(self, limit: tuple[str, ...]) -> bool:
        outside = ("tc", "qdisc", "replace", "dev", OUTSIDE, "root", *limit)
        inside = (*self.prefix, "tc", "qdisc", "replace", "dev", INSIDE, "root", *limit)
        return all(subprocess.run(each, capture_output=True, check=False).returncode == 0 for each in (outside, inside))

    def speed_up(self) -> None:
        _run("tc", "qdisc", "del", "dev", OUTSIDE, "root")
        _run(*self.prefix, "tc", "qdisc", "del", "dev", INSIDE, "root")


def is_possible() -> bool:
    """Return whether this process may make networks."""
    return os.geteuid() == 0 and subprocess.run(["ip", "netns"], capture_output=True, check=False).returncode == 0


@contextmanager
def network() -> Iterator[Network]:
    """Make the namespace, its cable and the brokers' addresses, and remove them at the end."""
    _remove()
    try:
        for address in BROKERS:
            _run("ip", "address", "add", f"{address}/32", "dev", "lo")
        _run("ip", "netns", "add", NAMESPACE)
        _run("ip", "link", "add", OUTSIDE, "type", "veth", "peer", "name", INSIDE)
        _run("ip", "link", "set", INSIDE, "netns", NAMESPACE)
        _run("ip", "address", "add", f"{OUTSIDE_ADDRESS}/24", "dev", OUTSIDE)
        _run("ip", "link", "set", OUTSIDE, "up")
        made = Network()
        for command in (
            ("ip", "address", "add", f"{INSIDE_ADDRESS}/24", "dev", INSIDE),
            ("ip", "link", "set", INSIDE, "up"),
            ("ip", "link", "set", "lo", "up"),
            ("ip", "route", "add", "default", "via", OUTSIDE_ADDRESS),
        ):
            _run(*made.prefix, *command)
        yield made
    finally:
        _remove()


def _remove() -> None:
    for command in (
        ("ip", "netns", "del", NAMESPACE),
        ("ip", "link", "del", OUTSIDE),
        *(("ip", "address", "del", f"{address}/32", "dev", "lo") for address in BROKERS),
    ):
        subprocess.run(command, capture_output=True, check=False)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
