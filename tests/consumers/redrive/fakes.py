"""The topics in memory, under the same contract as the real ones (test_contract.py)."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sightstream.consumers.kafka.span_reader import OffsetSpan
from sightstream.consumers.redrive.errors import InDoubt, RecordRefused, Superseded
from sightstream.consumers.redrive.letter import Record
from sightstream.consumers.redrive.protocol import OutgoingRecord
from sightstream.schemas.wire.dead_letter import Headers, RecordId
from sightstream.schemas.wire.topics import TopicSettings

Fault = Literal["none", "doubt_committed", "doubt_aborted", "killed_before", "killed_after"]


class Killed(BaseException):
    """The process ends here: nothing that it does afterwards counts."""


@dataclass
class FakeCluster:
    """What the broker has. `epoch` belongs to the newest producer; `letters` are (offset, record), with gaps."""

    names: TopicSettings = field(default_factory=TopicSettings)
    letters: defaultdict[int, list[Record]] = field(default_factory=lambda: defaultdict(list))
    ends: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    markers: list[Record] = field(default_factory=list)
    requests: list[Record] = field(default_factory=list)
    epoch: int = 0
    topic_id: str = "fake-id"
    refuses: Callable[[OutgoingRecord], bool] = lambda record: False

    def put_letter(self, partition: int, key: bytes | None, value: bytes | None, headers: Headers | None) -> RecordId:
        """Append a dead letter, and behind it a transaction marker, which takes up an offset of its own."""
        at = RecordId(self.names.dead_letters, partition, self.ends[partition])
        self.letters[partition].append(Record(at, key, value, headers))
        self.ends[partition] += 2
        return at

    def apply(self, records: Sequence[OutgoingRecord]) -> None:
        for record in records:
            log = self.markers if record.topic == self.names.redrives else self.requests
            log.append(Record(RecordId(record.topic, 0, len(log)), record.key, record.value, record.headers))


class FakeTopics:
    """One command's view of the cluster. `faults` are what happens at its next commits."""

    def __init__(self, cluster: FakeCluster, faults: Sequence[Fault] = ()) -> None:
        self.cluster, self.faults = cluster, deque(faults)
        self._epoch = -1

    def open(self) -> None:
        self.cluster.epoch += 1
        self._epoch = self.cluster.epoch

    def commit(self, records: Sequence[OutgoingRecord]) -> None:
        if self._epoch < 0:
            raise InDoubt("there is no producer")
        if self._epoch != self.cluster.epoch:
            raise Superseded("another one was opened")
        if any(self.cluster.refuses(record) for record in records):
            self._epoch = -1
            raise RecordRefused("too large")
        fault = self.faults.popleft() if self.faults else "none"
        if fault == "killed_before":
            raise Killed
        if fault != "doubt_aborted":
            self.cluster.apply(records)
        if fault == "killed_after":
            raise Killed
        if fault != "none":
            self._epoch = -1
            raise InDoubt("no reply")

    def close(self) -> None:
        self._epoch = -1

    def topic_id(self) -> str:
        return self.cluster.topic_id

    def letter_spans(self) -> Mapping[int, OffsetSpan]:
        return {number: OffsetSpan(0, end) for number, end in self.cluster.ends.items()}

    def letters(self, spans: Mapping[int, OffsetSpan]) -> Iterator[Record]:
        for number, span in spans.items():
            yield from (r for r in list(self.cluster.letters[number]) if span.start <= r.at.offset < span.end)

    def markers(self) -> Iterator[Record]:
        yield from list(self.cluster.markers)

    def source(self, at: RecordId) -> Record | None:
        return next((record for record in self.cluster.requests if record.at == at), None)
