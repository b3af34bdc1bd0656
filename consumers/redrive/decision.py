"""Decides what becomes of one dead letter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sightstream.consumers.redrive.letter import DeadLetter, Record, request_of
from sightstream.consumers.redrive.markers import State
from sightstream.schemas.wire.dead_letter import RecordId

MAX_REDRIVES = 3


class Decision(StrEnum):
    """What becomes of a selected dead letter. The values are names in the JSON report."""

    REDRIVE = "redriven"
    PARK = "parked_now"
    KEEP_REDRIVEN = "redriven_earlier"
    KEEP_PARKED = "parked_earlier"
    KEEP_EXPIRED = "deadline_passed"
    KEEP_GONE = "gone"
    KEEP_REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Policy:
    """Which letters are left alone: those redriven `max_redrives` times, and those whose deadline has passed."""

    max_redrives: int = MAX_REDRIVES
    include_parked: bool = False
    include_expired: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """A decision, and the original record where the decision is to redrive it."""

    decision: Decision
    original: Record | None = None


def decide(
    letter: DeadLetter,
    state: State,
    policy: Policy,
    now: datetime,
    source: Callable[[RecordId], Record | None],
) -> Judged:
    """Return what becomes of the letter. Calls `source`, which blocks, only for a letter in omitted form."""
    if state is State.REDRIVEN:
        return Judged(Decision.KEEP_REDRIVEN)
    if not policy.include_parked and state is State.PARKED:
        return Judged(Decision.KEEP_PARKED)
    if not policy.include_parked and letter.redrives >= policy.max_redrives:
        return Judged(Decision.PARK)
    original = original_of(letter, source)
    if original is None:
        return Judged(Decision.KEEP_GONE)
    if not policy.include_expired and _has_expired(original, now):
        return Judged(Decision.KEEP_EXPIRED)
    return Judged(Decision.REDRIVE, original)


def original_of(letter: DeadLetter, source: Callable[[RecordId], Record | None]) -> Record | None:
    """Return the record that the letter was, None when it was not kept and is gone, or another one stands there."""
    if letter.omitted is None:
        return letter.record
    found = source(letter.failure.source)
    return found if found is not None and letter.omitted.matches(found) else None


def _has_expired(original: Record, now: datetime) -> bool:
    request = request_of(original.value)
    return request is not None and request.deadline is not None and request.deadline <= now
