"""Broker calls that may hang, as a publishing run sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sightstream.producers.errors import Unsettled
from sightstream.schemas.bounded_call import NeverReturned, bounded_call

Answer = TypeVar("Answer")


def within(timeout_s: float, call: Callable[..., Answer], *arguments: object) -> Answer:
    """Raises what the call raises, or Unsettled when it is not done in time; what it works on must then be dropped."""
    try:
        return bounded_call(call, *arguments, limit_s=timeout_s)
    except NeverReturned:
        raise Unsettled(f"the broker did not answer within {timeout_s:.0f} s") from None
