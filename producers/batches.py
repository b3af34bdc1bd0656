"""Cuts a source into batches, and computes the digest by which a later run sees whether the source has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Protocol

from sightstream.producers.errors import BadItem, SourceChanged
from sightstream.producers.progress import Progress
from sightstream.producers.request_template import RequestTemplate
from sightstream.producers.settings import PublisherSettings
from sightstream.producers.sources.item import Item
from sightstream.producers.sources.requests import EncodedRequest, encode_request
from sightstream.producers.tasks.rows import with_task
from sightstream.producers.transactional_sink import Record
from sightstream.schemas.wire.topics import record_key


class ProgressListener(Protocol):
    """Receives the progress of a job."""

    def on_resume(self, progress: Progress) -> None:
        """Called before the first entry is read."""

    def on_read(self, size: int) -> None:
        """Called when `size` more bytes of the source are done, published earlier or just now."""

    def on_bad_item(self, problem: str) -> None:
        """Called for an entry that is no valid request (it counts as failed), or whose request became a dead letter."""

    def on_commit(self, progress: Progress) -> None:
        """Called when a batch is committed."""


@dataclass(slots=True)
class Batch:
    """Collects the records of one transaction.

    `digest` is computed over the whole source up to the end of this batch; `size` is the batch's length in the source,
    `bytes` that of the encoded records.
    """

    records: list[Record] = field(default_factory=list)
    failed: int = 0
    bytes: int = 0
    size: int = 0
    digest: str = ""


class Batcher:
    """Builds one batch at a time: `batch_records` entries, or about `batch_bytes`, whichever comes first."""

    def __init__(
        self,
        template: RequestTemplate,
        settings: PublisherSettings,
        listener: ProgressListener,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._template = template
        self._settings = settings
        self._listener = listener
        self._now = now
        self._digest = sha256()

    def skip_published(self, items: Iterator[Item], progress: Progress) -> None:
        """Read what is published already. Raises SourceChanged when it is no longer the same."""
        for _ in range(progress.position):
            item = next(items, None)
            if item is None:
                break
            self._add_to_digest(item)
            self._listener.on_read(item.size)
        if progress.position and self._digest.hexdigest() != progress.digest:
            raise SourceChanged(
                f"the first {progress.position} entries are published, but the source has changed there since. "
                "Restore the old content to continue; or publish the new entries from a source of their own; or start "
                "over with --no-resume, which publishes the unchanged entries a second time, under the same request_id"
            )

    def batches(self, items: Iterator[Item]) -> Iterator[Batch]:
        """Yield the remaining entries as batches, in order."""
        batch = Batch()
        for item in items:
            self._add(item, batch)
            if self._full(batch):
                yield batch
                batch = Batch()
        if batch.digest:
            yield batch

    def _add(self, item: Item, batch: Batch) -> None:
        self._add_to_digest(item)
        batch.digest = self._digest.hexdigest()
        batch.size += item.size
        try:
            encoded = self.encode(item)
        except BadItem as error:
            batch.failed += 1
            self._listener.on_bad_item(str(error))
            return
        request = encoded.request
        batch.records.append(Record(request.request_id, record_key(request.product_id), encoded.value, item.location))
        batch.bytes += len(encoded.value)

    def encode(self, item: Item) -> EncodedRequest:
        """Return the request of an entry. Raises BadItem."""
        template = self._template
        asked = item if template.task is None else with_task(item, template.task)
        return encode_request(asked, template.question, template.options, self._now())

    def _full(self, batch: Batch) -> bool:
        entries = len(batch.records) + batch.failed
        return entries >= self._settings.batch_records or batch.bytes >= self._settings.batch_bytes

    def _add_to_digest(self, item: Item) -> None:
        self._digest.update(b"%d:" % len(item.raw))
        self._digest.update(item.raw)
