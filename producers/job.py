"""Publishes a whole source exactly once, however runs end.

Entries go out in batches; each batch is one transaction that carries its records and the new progress
(producers/transactional_sink.py). A later run fences the earlier one, reads the progress back, skips as many entries,
and continues. So a `read_committed` reader sees each entry once, after Ctrl-C, kill -9, a broker restart, or two runs
at the same moment (the later one wins, the earlier one stops).

Skipping is checked: the progress holds a digest over the entries that were published. If the head of the source is
no longer the same the job stops with SourceChanged; entries appended to it are simply new. The progress lives as long
as the broker keeps offsets of idle groups (`offsets.retention.minutes`, 7 days unless changed). Two equal entries in
one source are two records with one `request_id`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import uuid4

from sightstream.producers.batches import Batch, Batcher, ProgressListener
from sightstream.producers.errors import InDoubt, PublishError, Stopped, Superseded
from sightstream.producers.progress import Progress
from sightstream.producers.sources.item import BulkSource
from sightstream.producers.transactional_sink import Record


class Sink(Protocol):
    """What a job needs of a TransactionalSink."""

    def open(self) -> Progress: ...
    def commit(self, records: Sequence[Record], progress: Progress) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a batch is retried while the broker does not answer, and the pause between tries; both in seconds.

    `asked_to_stop` is called between batches and between tries.
    """

    timeout_s: float
    pause_s: float = 1.0
    asked_to_stop: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class PublishJob:
    """Runs a job once. Not thread safe."""

    def __init__(
        self,
        source: BulkSource,
        batcher: Batcher,
        sink: Sink,
        listener: ProgressListener,
        retry_policy: RetryPolicy,
    ) -> None:
        self._source = source
        self._batcher = batcher
        self._sink = sink
        self._listener = listener
        self._retry_policy = retry_policy
        self._run = uuid4().hex
        self._committed = Progress()

    def run(self, *, resume: bool = True) -> Progress:
        """Publish what is not published yet; without `resume`, everything again. Return the progress of the job.

        Blocks until the source is done. Raises SourceError, SourceChanged, Superseded, Stopped, or PublishError; what
        was committed until then stays, and the next run continues there.
        """
        try:
            self._committed = self._reopen(self._deadline())
            progress = self._committed if resume else Progress()
            self._listener.on_resume(progress)
            items = self._source.items()
            self._batcher.skip_published(items, progress)
            for batch in self._batcher.batches(items):
                self._stop_if_asked()
                progress = self._after(progress, batch)
                self._commit_until_certain(batch.records, progress)
                self._listener.on_read(batch.size)
                self._listener.on_commit(progress)
            return progress
        finally:
            self._sink.close()

    def run_unpublished(self, read_published: Callable[[], Mapping[str, str | None]]) -> int:
        """Publish the entries whose request is not on the topic yet, and return how many are.

        `read_published` returns the ids of the requests on the topic, each with the reason of its dead letter if it has
        one; it is called once no earlier run can write any more. Entries with a dead letter are named, not published.
        The progress names the whole source at the end and stays as it is before: a run that was stopped is repeated.
        Blocks and raises as `run` does.
        """
        try:
            start = self._committed = self._reopen(self._deadline())
            published, found, progress = read_published(), 0, Progress()
            for batch in self._batcher.batches(self._source.items()):
                self._stop_if_asked()
                self._name_dead(batch, published)
                new = [record for record in batch.records if record.request_id not in published]
                if new:
                    self._commit_until_certain(new, replace(start, run=uuid4().hex))
                found += len(batch.records) - len(new)
                progress = self._after(progress, batch)
                self._listener.on_read(batch.size)
                self._listener.on_commit(progress)
            if progress.position:
                self._commit_until_certain([], progress)
            return found
        finally:
            self._sink.close()

    def _name_dead(self, batch: Batch, published: Mapping[str, str | None]) -> None:
        for record in batch.records:
            if reason := published.get(record.request_id):
                self._listener.on_bad_item(
                    f"{record.location}: the request {record.request_id} became a dead letter ({reason}): correct the "
                    f"entry, or redrive it"
                )

    def _after(self, progress: Progress, batch: Batch) -> Progress:
        delivered = progress.delivered + len(batch.records)
        return Progress(delivered, progress.failed + batch.failed, batch.digest, self._run)

    def _commit_until_certain(self, records: Sequence[Record], after: Progress) -> None:
        """Commit the records, again while in doubt. `after` names this run, so its own commit is recognised."""
        deadline = self._deadline()
        while self._committed != after:
            try:
                self._sink.commit(records, after)
                self._committed = after
            except InDoubt as error:
                self._wait(deadline, error)
                found = self._reopen(deadline)
                if found not in (self._committed, after):
                    raise Superseded("another run publishes this source; this one stops") from None
                self._committed = found

    def _reopen(self, deadline: float) -> Progress:
        while True:
            try:
                return self._sink.open()
            except InDoubt as error:
                self._wait(deadline, error)

    def _deadline(self) -> float:
        return self._retry_policy.clock() + self._retry_policy.timeout_s

    def _stop_if_asked(self) -> None:
        if self._retry_policy.asked_to_stop():
            raise Stopped("stopped; run again to continue")

    def _wait(self, deadline: float, error: InDoubt) -> None:
        self._stop_if_asked()
        if self._retry_policy.clock() >= deadline:
            raise PublishError(f"the broker does not accept the batch: {error}; run again later to continue") from None
        self._retry_policy.sleep(self._retry_policy.pause_s)
