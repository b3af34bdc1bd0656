"""Reads dead letters for people: which there are, and what became of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum

from sightstream.consumers.kafka.span_reader import OffsetSpan
from sightstream.consumers.redrive.filters import Filter
from sightstream.consumers.redrive.letter import DeadLetter, parse_letter, request_of
from sightstream.consumers.redrive.markers import MarkerIndex, State
from sightstream.consumers.redrive.protocol import LetterTopics
from sightstream.consumers.redrive.reading import LetterReading, read_markers
from sightstream.consumers.redrive.redrive_pass import Progress
from sightstream.consumers.redrive.tally import Tally
from sightstream.schemas.wire.dead_letter import RecordId
from sightstream.schemas.wire.redrive import LetterId, RedriveMarker, decode_marker


class Survey:
    """Iterates over the selected letters and their states; `tally.reading` counts everything that was read."""

    def __init__(
        self, topics: LetterTopics, dead_letters: str, wanted: Filter, states: frozenset[State], progress: Progress
    ) -> None:
        self._topics, self._name, self._filter = topics, dead_letters, wanted
        self._states, self._progress = states, progress
        self.tally = Tally()

    def __iter__(self) -> Iterator[tuple[DeadLetter, State]]:
        index = MarkerIndex(self._name, self._topics.topic_id())
        read_markers(self._topics, index)
        self.tally.reading.foreign_markers = index.foreign
        spans = self._topics.letter_spans()
        self._progress.on_start(sum(span.end - span.start for span in spans.values()))
        for letter in LetterReading(self._topics, spans, self.tally.reading):
            state = index.state(letter.record.at)
            if state in self._states and self._filter.matches(letter):
                yield letter, state
            self._progress.on_read(self.tally)


class Grouping(StrEnum):
    """By what letters are counted."""

    REASON = "reason"
    STAGE = "stage"
    STATE = "state"
    PRODUCT = "product"
    PARTITION = "partition"
    DAY = "day"
    REDRIVES = "redrives"


def group_of(letter: DeadLetter, state: State, by: Grouping) -> str:
    """Return the group that a letter is counted in."""
    groups: dict[Grouping, Callable[[], str]] = {
        Grouping.REASON: lambda: str(letter.failure.reason),
        Grouping.STAGE: lambda: str(letter.failure.stage),
        Grouping.STATE: lambda: state.value,
        Grouping.PRODUCT: lambda: product_of(letter),
        Grouping.PARTITION: lambda: str(letter.record.at.partition),
        Grouping.DAY: lambda: letter.failed_at.date().isoformat(),
        Grouping.REDRIVES: lambda: str(letter.redrives),
    }
    return groups[by]()


def product_of(letter: DeadLetter) -> str:
    """Return the product of the letter's request, or its key as text where the value is no request."""
    request = request_of(letter.record.value)
    return request.product_id if request else (letter.record.key or b"").decode("utf-8", "backslashreplace")


def find_letter(topics: LetterTopics, partition: int, offset: int) -> DeadLetter | None:
    """Return the letter at these coordinates of the dead-letter topic, None when there is none."""
    span = topics.letter_spans().get(partition)
    if span is None or not span.start <= offset < span.end:
        return None
    found = next(topics.letters({partition: OffsetSpan(offset, offset + 1)}), None)
    return parse_letter(found) if found else None


def find_marker(topics: LetterTopics, at: RecordId) -> RedriveMarker | None:
    """Return the newest marker of the letter. Raises ValueError when it can't be read."""
    key = str(LetterId(at.topic, topics.topic_id(), at.partition, at.offset)).encode()
    found: RedriveMarker | None = None
    for record in topics.markers():
        if record.key == key:
            found = decode_marker(record.value) if record.value is not None else None
    return found
