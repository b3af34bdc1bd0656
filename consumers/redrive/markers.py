"""Knows what became of each dead letter, from the markers of all runs, in a bit per letter."""

from __future__ import annotations

from collections import defaultdict
from enum import StrEnum

from sightstream.consumers.redrive.errors import UnreadableMarker
from sightstream.consumers.redrive.letter import Record
from sightstream.schemas.wire.dead_letter import RecordId, printable
from sightstream.schemas.wire.redrive import LetterId, RedriveMarker, decode_marker

_CHUNK = 8192  # offsets; a chunk is a kibibyte, and exists only where a letter was marked


class State(StrEnum):
    """What became of a dead letter; `open` is one without a marker."""

    OPEN = "open"
    PARKED = "parked"
    REDRIVEN = "redriven"


class OffsetSet:
    """A set of offsets of many partitions, a bit each: a million of them need about 128 KiB where they are dense."""

    def __init__(self) -> None:
        self._chunks: defaultdict[tuple[int, int], bytearray] = defaultdict(lambda: bytearray(_CHUNK // 8))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, at: tuple[int, int]) -> bool:
        partition, offset = at
        chunk = self._chunks.get((partition, offset // _CHUNK))
        return chunk is not None and bool(chunk[offset % _CHUNK // 8] >> offset % 8 & 1)

    def add(self, at: tuple[int, int]) -> None:
        if at not in self:
            self._flip(at)
            self._count += 1

    def discard(self, at: tuple[int, int]) -> None:
        if at in self:
            self._flip(at)
            self._count -= 1

    def _flip(self, at: tuple[int, int]) -> None:
        partition, offset = at
        self._chunks[partition, offset // _CHUNK][offset % _CHUNK // 8] ^= 1 << offset % 8


class MarkerIndex:
    """The states of the letters of one dead-letter topic; markers of other topics or of an earlier one are ignored.

    `foreign` counts records of the marker topic that are no markers; `own` is what the run `run` has redriven.
    """

    def __init__(self, topic: str, topic_id: str, run: str | None = None) -> None:
        self._topic, self._topic_id, self._run = topic, topic_id, run
        self._redriven, self._parked, self.own = OffsetSet(), OffsetSet(), OffsetSet()
        self.foreign = 0

    def add(self, record: Record) -> None:
        """Enter a record of the marker topic, in the order of its partition.

        Raises UnreadableMarker: going on could redrive that letter twice.
        """
        letter = _letter(record.key)
        if letter is None:
            self.foreign += 1
        elif (letter.topic, letter.topic_id) == (self._topic, self._topic_id):
            self._enter((letter.partition, letter.offset), _marker(record))

    def state(self, at: RecordId) -> State:
        """Return what became of the dead letter at these coordinates."""
        offset = (at.partition, at.offset)
        if offset in self._redriven:
            return State.REDRIVEN
        return State.PARKED if offset in self._parked else State.OPEN

    def is_own(self, at: RecordId) -> bool:
        """Return whether this run has redriven it."""
        return (at.partition, at.offset) in self.own

    def _enter(self, at: tuple[int, int], marker: RedriveMarker | None) -> None:
        if marker is None:  # somebody deleted the marker, which makes its letter an open one again
            for offsets in (self._redriven, self._parked, self.own):
                offsets.discard(at)
        elif marker.state == "parked":
            self._parked.add(at)
        else:
            self._redriven.add(at)
            if marker.run == self._run:
                self.own.add(at)


def _letter(key: bytes | None) -> LetterId | None:
    try:
        return LetterId.parse((key or b"").decode("ascii"))
    except ValueError:
        return None


def _marker(record: Record) -> RedriveMarker | None:
    if record.value is None:
        return None
    try:
        return decode_marker(record.value)
    except ValueError as error:
        at = record.at
        raise UnreadableMarker(
            f"{at.topic}/{at.partition}/{at.offset}: {printable(str(error))}; a newer release may have written it: "
            "update this one"
        ) from None
