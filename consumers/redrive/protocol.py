"""States what redriving needs of Kafka, so that tests can run it on topics in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sightstream.consumers.kafka.span_reader import OffsetSpan
from sightstream.consumers.redrive.letter import Record
from sightstream.schemas.wire.dead_letter import Headers, RecordId


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """A record to publish, on the partition that its key names."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers


class LetterTopics(Protocol):
    """The topics, as a `read_committed` reader sees them. Every call blocks. Raises RedriveError or KafkaReadError."""

    def topic_id(self) -> str:
        """Return the id of the dead-letter topic."""

    def letter_spans(self) -> Mapping[int, OffsetSpan]:
        """Return what can be read of each partition of the dead-letter topic now."""

    def letters(self, spans: Mapping[int, OffsetSpan]) -> Iterator[Record]:
        """Yield the records within the spans, those of one partition in order."""

    def markers(self) -> Iterator[Record]:
        """Yield every marker that is committed, those of one key in order."""

    def source(self, at: RecordId) -> Record | None:
        """Return the record at these coordinates, None when it is gone."""


class RedriveTopics(LetterTopics, Protocol):
    """The same with a transactional producer, of which only the newest one in the whole cluster can commit."""

    def open(self) -> None:
        """Start a producer. It fences every other one, whose last transaction is committed or aborted on return.

        From then on `markers` yields everything that any earlier producer has committed, and raises InDoubt if it
        can't be sure of that.
        """

    def commit(self, records: Sequence[OutgoingRecord]) -> None:
        """Make all records visible, or none.

        Raises Superseded when another producer was opened, RecordRefused when a record can never be written (none was),
        InDoubt when the outcome is unknown. After the latter two, only `open` leads on.
        """
