"""Reads all dead letters once, and redrives the selected ones in batches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from structlog.contextvars import bound_contextvars

from sightstream.consumers.kafka.span_reader import OffsetSpan
from sightstream.consumers.redrive.decision import Decision, Policy, decide
from sightstream.consumers.redrive.errors import RecordRefused
from sightstream.consumers.redrive.filters import Filter
from sightstream.consumers.redrive.letter import DeadLetter, request_of
from sightstream.consumers.redrive.markers import MarkerIndex, State
from sightstream.consumers.redrive.pace import Pace
from sightstream.consumers.redrive.protocol import LetterTopics
from sightstream.consumers.redrive.reading import LetterReading
from sightstream.consumers.redrive.republish import Redrive
from sightstream.consumers.redrive.tally import Tally

log = logging.getLogger(__name__)

# One transaction: large enough that its two round trips cost little, small enough to be read at once.
BATCH_RECORDS = 500
BATCH_BYTES = 8 * 1024 * 1024


class Progress(Protocol):
    """Receives the progress of a run. A run that starts again after a doubt calls `on_start` again."""

    def on_start(self, offsets: int) -> None: ...
    def on_read(self, tally: Tally) -> None: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What to redrive. `limit` is the most requests that this run publishes again; None means all."""

    filter: Filter = field(default_factory=Filter)
    policy: Policy = field(default_factory=Policy)
    limit: int | None = None


@dataclass(slots=True)
class _Batch:
    items: list[Redrive] = field(default_factory=list)
    bytes: int = 0

    @property
    def requests(self) -> int:
        return sum(item.original is not None for item in self.items)

    def add(self, item: Redrive) -> None:
        self.items.append(item)
        self.bytes += item.size


class RedrivePass:
    """One reading of all letters.

    `commit` makes a batch of records visible; a dry run's does nothing. `renew` opens a new producer, and returns the
    markers that are there then.
    """

    def __init__(
        self,
        topics: LetterTopics,
        plan: Plan,
        index: MarkerIndex,
        commit: Callable[[list[Redrive]], None],
        renew: Callable[[], MarkerIndex],
        pace: Pace,
        now: Callable[[], datetime],
    ) -> None:
        self._topics, self._plan, self._index, self._commit_items, self._renew = topics, plan, index, commit, renew
        self._pace, self._now = pace, now
        self.tally = Tally()
        # After a doubt, what this run had published before counts, wherever it stands.
        self._published = len(index.own)
        self._batch = _Batch()

    def read(self, spans: Mapping[int, OffsetSpan], stop: Callable[[], bool], progress: Progress) -> Tally:
        """Read the letters and redrive what is selected, until the end, the limit or `stop()`."""
        tally = self.tally
        tally.reading.foreign_markers = self._index.foreign
        for letter in LetterReading(self._topics, spans, tally.reading):
            if stop():
                tally.stopped = True
                break
            if self._plan.filter.matches(letter):
                self._consider(letter)
            progress.on_read(tally)
            if tally.limit_reached:
                break
        self._commit()
        progress.on_read(tally)
        return tally

    def _consider(self, letter: DeadLetter) -> None:
        at, reason = letter.record.at, str(letter.failure.reason)
        if self._index.is_own(at):
            self.tally.add(Decision.REDRIVE, reason)
            return
        judged = decide(letter, self._index.state(at), self._plan.policy, self._now(), self._topics.source)
        if judged.decision is Decision.REDRIVE:
            if self._plan.limit is not None and self._published + self._batch.requests >= self._plan.limit:
                self.tally.limit_reached = True
                return
        elif judged.decision is not Decision.PARK:
            self.tally.add(judged.decision, reason)
            return
        self._batch.add(Redrive(letter, judged.original))
        if len(self._batch.items) >= self._pace.batch(BATCH_RECORDS) or self._batch.bytes >= BATCH_BYTES:
            self._commit()

    def _commit(self) -> None:
        batch, self._batch = self._batch, _Batch()
        if batch.items:
            self._pace.wait(batch.requests)
            self._write(batch.items)

    def _write(self, items: list[Redrive]) -> None:
        """Commit the items together, or one by one to find those that the broker refuses."""
        try:
            self._commit_items(items)
        except RecordRefused as error:
            self._index = self._renew()
            if len(items) == 1:
                self._refuse(items[0].letter, error)
            else:
                self._write_apart(items)
            return
        for item in items:
            self._published += item.original is not None
            decision = Decision.PARK if item.original is None else Decision.REDRIVE
            self.tally.add(decision, str(item.letter.failure.reason))

    def _write_apart(self, items: list[Redrive]) -> None:
        for item in items:
            # Another run may have been open before this one's producer was renewed.
            if self._index.state(item.letter.record.at) is State.REDRIVEN:
                self.tally.add(Decision.KEEP_REDRIVEN, str(item.letter.failure.reason))
            else:
                self._write([item])

    def _refuse(self, letter: DeadLetter, error: RecordRefused) -> None:
        at, request = letter.record.at, request_of(letter.record.value)
        with bound_contextvars(**({"request_id": request.request_id} if request else {})):
            log.warning("%s/%d/%d stays a dead letter: %s", at.topic, at.partition, at.offset, error)
        self.tally.add(Decision.KEEP_REFUSED, str(letter.failure.reason))
