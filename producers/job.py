"""Publishes a whole source, exactly once, whatever dies when.

Entries go out in batches; each batch is one transaction that carries its records and the new progress
(producers/outbox.py). A run that follows takes the job over, reads the progress back, passes over as many entries, and
goes on. So a `read_committed` reader sees each entry once, after Ctrl-C, kill -9, a broker restart, or two runs at the
same moment (the later one wins, the earlier one stops).

Passing over is checked: the progress holds a digest over the entries that were published. If the head of the source is
no longer the same the job stops with SourceChanged; entries added behind it are simply new. The progress lives as long
as the broker keeps offsets of idle groups (`offsets.retention.minutes`, 7 days unless changed). Two equal entries in
one source are two records with one `request_id`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

from sightstream.producers.batches import Batch, Batcher, Watcher
from sightstream.producers.errors import PublishError, Stopped, TakenOver, Unsettled
from sightstream.producers.outbox import Record
from sightstream.producers.progress import Progress
from sightstream.producers.sources.item import Source


class Transactions(Protocol):
    """What a job needs of producers/outbox.py's Outbox."""

    def open(self) -> Progress: ...
    def commit(self, records: Sequence[Record], progress: Progress) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a batch is tried for while the broker does not answer, and the pause between tries; seconds.

    `asked_to_stop` is looked at between batches and between tries.
    """

    timeout_s: float
    pause_s: float = 1.0
    asked_to_stop: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class PublishJob:
    """One run of a job. Not thread safe."""

    def __init__(
        self, source: Source, batcher: Batcher, outbox: Transactions, watcher: Watcher, patience: Patience
    ) -> None:
        self._source = source
        self._batcher = batcher
        self._outbox = outbox
        self._watcher = watcher
        self._patience = patience
        self._run = uuid4().hex
        self._committed = Progress()

    def run(self, *, resume: bool = True) -> Progress:
        """Publishes what is not published yet; without `resume` everything, again. Returns the progress of the job.

        Raises SourceError, SourceChanged, TakenOver, Stopped, or PublishError; what was committed until then stays,
        and the next run goes on from there.
        """
        try:
            self._committed = self._reopen(self._deadline())
            progress = self._committed if resume else Progress()
            self._watcher.resumed(progress)
            items = self._source.items()
            self._batcher.pass_over(items, progress)
            for batch in self._batcher.batches(items):
                self._stop_if_asked()
                progress = self._after(progress, batch)
                self._settle(batch, progress)
                self._watcher.read(batch.size)
                self._watcher.settled(progress)
            return progress
        finally:
            self._outbox.close()

    def _after(self, progress: Progress, batch: Batch) -> Progress:
        delivered = progress.delivered + len(batch.records)
        return Progress(delivered, progress.failed + batch.failed, batch.digest, self._run)

    def _settle(self, batch: Batch, after: Progress) -> None:
        """Commits the batch, as often as it takes. `after` names this run, so its own commit is recognised."""
        deadline = self._deadline()
        while self._committed != after:
            try:
                self._outbox.commit(batch.records, after)
                self._committed = after
            except Unsettled as error:
                self._wait(deadline, error)
                found = self._reopen(deadline)
                if found not in (self._committed, after):
                    raise TakenOver("another run publishes this source; this one stops") from None
                self._committed = found

    def _reopen(self, deadline: float) -> Progress:
        while True:
            try:
                return self._outbox.open()
            except Unsettled as error:
                self._wait(deadline, error)

    def _deadline(self) -> float:
        return self._patience.clock() + self._patience.timeout_s

    def _stop_if_asked(self) -> None:
        if self._patience.asked_to_stop():
            raise Stopped("stopped; run again to go on")

    def _wait(self, deadline: float, error: Unsettled) -> None:
        self._stop_if_asked()
        if self._patience.clock() >= deadline:
            raise PublishError(f"the broker does not take the batch: {error}; run again later to go on") from None
        self._patience.sleep(self._patience.pause_s)
