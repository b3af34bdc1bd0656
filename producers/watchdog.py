"""Broker calls that may hang, as a publishing run sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sightstream.producers.errors import Unsettled
from sightstream.schemas.connections.timeouts import CallTimedOut, call_with_timeout

Answer = TypeVar("Answer")


def within(timeout_s: float, call: Callable[..., Answer], *arguments: object) -> Answer:
    """Raises what the call raises, or Unsettled when it is not done in time; what it works on must then be dropped."""
    try:
        return call_with_timeout(call, *arguments, timeout_s=timeout_s)
    except CallTimedOut:
        raise Unsettled(f"the broker did not answer within {timeout_s:.0f} s") from None
