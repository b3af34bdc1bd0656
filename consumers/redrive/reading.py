"""Reads the markers, and then the dead letters one by one, so that any number of them needs little memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sightstream.consumers.kafka.span_reader import OffsetSpan
from sightstream.consumers.redrive.letter import DeadLetter, parse_letter
from sightstream.consumers.redrive.markers import MarkerIndex
from sightstream.consumers.redrive.protocol import LetterTopics
from sightstream.consumers.redrive.tally import Reading


def read_markers(topics: LetterTopics, index: MarkerIndex) -> None:
    """Enter every committed marker. Raises UnreadableMarker."""
    for record in topics.markers():
        index.add(record)


class LetterReading:
    """Iterates over the dead letters and counts in `reading` what is beside them."""

    def __init__(self, topics: LetterTopics, spans: Mapping[int, OffsetSpan], reading: Reading) -> None:
        self._topics, self._spans, self._reading = topics, spans, reading

    def __iter__(self) -> Iterator[DeadLetter]:
        for record in self._topics.letters(self._spans):
            letter = parse_letter(record)
            if letter is None:
                self._reading.foreign += 1
                continue
            self._reading.letters += 1
            yield letter
        offsets = sum(span.end - span.start for span in self._spans.values())
        self._reading.without_record = max(0, offsets - self._reading.records)
