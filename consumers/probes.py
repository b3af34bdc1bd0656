"""What a process says of itself to probes: whether it lives, and whether it can work now."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a probe; it passes without a `problem`, whose text holds nothing of products and no address."""

    name: str
    problem: str | None = None


class Health(Protocol):
    """Answers probes, on threads of their own. Nothing here blocks or raises."""

    def alive(self) -> Sequence[Check]:
        """Return the checks of /healthz. One that fails means that only a restart helps."""

    def ready(self) -> Sequence[Check]:
        """Return the checks of /readyz."""

    def status(self) -> dict[str, object]:
        """Return more about the process than the checks, as JSON."""


def summary(checks: Sequence[Check]) -> dict[str, object]:
    """Return the document that a probe is answered with."""
    return {
        "ok": all(check.problem is None for check in checks),
        "checks": {check.name: check.problem or "ok" for check in checks},
    }


def probe_status(checks: Sequence[Check]) -> HTTPStatus:
    """Return 200 if all checks pass, else 503."""
    failed = any(check.problem is not None for check in checks)
    return HTTPStatus.SERVICE_UNAVAILABLE if failed else HTTPStatus.OK


class LoopHealth:
    """The health of a process that is one loop: `ready_check` fails as the last turn says. Thread safe."""

    def __init__(self, limit_s: float, ready_check: str, clock: Callable[[], float] = time.monotonic) -> None:
        """A loop without a turn for `limit_s` counts as stuck."""
        self._limit_s, self._ready_check, self._clock = limit_s, ready_check, clock
        self._turned_at = clock()
        self._problem: str | None = "starting"

    def turned(self, problem: str | None = None) -> None:
        """The loop begins another turn; `problem` is why the process can't work now."""
        self._problem, self._turned_at = problem, self._clock()

    def alive(self) -> list[Check]:
        idle_s = self._clock() - self._turned_at
        return [Check("loop", f"no turn for {idle_s:.0f} s" if idle_s > self._limit_s else None)]

    def ready(self) -> list[Check]:
        return [Check(self._ready_check, self._problem)]

    def status(self) -> dict[str, object]:
        return {"seconds_since_turn": round(self._clock() - self._turned_at, 3)}


class _Answering:
    """A process without a loop that could be stuck."""

    def alive(self) -> list[Check]:
        return []

    def ready(self) -> list[Check]:
        return []

    def status(self) -> dict[str, object]:
        return {}


ANSWERING: Health = _Answering()
