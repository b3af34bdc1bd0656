"""Redrives dead letters: each at most once, whatever dies, and none is passed over for good.

No read position is kept anywhere. Every run reads all dead letters, and the markers tell which of them were published
again. Three rules make that exact:

1. `open` comes first. It ends the transaction of every earlier run, one way or the other, and no earlier run can commit
   from then on. The markers read after it are therefore all that there will ever be, until this run writes its own.
2. A request and the marker of its letter go out in one transaction, so no letter is published without being marked, nor
   marked without being published.
3. When the end of a transaction is in doubt, nothing is assumed: the run starts again at rule 1.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from uuid import uuid4

from sightstream.consumers.kafka.span_reader import OffsetSpan
from sightstream.consumers.kafka.types import KafkaReadError
from sightstream.consumers.redrive.errors import InDoubt, RedriveError
from sightstream.consumers.redrive.markers import MarkerIndex
from sightstream.consumers.redrive.pace import Pace
from sightstream.consumers.redrive.protocol import LetterTopics, RedriveTopics
from sightstream.consumers.redrive.reading import read_markers
from sightstream.consumers.redrive.redrive_pass import Plan, Progress, RedrivePass
from sightstream.consumers.redrive.republish import RecordMaker, Redrive
from sightstream.consumers.redrive.tally import Tally
from sightstream.schemas.wire.topics import TopicSettings

log = logging.getLogger(__name__)

# How long a broker may be away before the command gives up.
RECOVERY_S = 120.0
PAUSE_S = 1.0


class RedriveJob:
    """Runs once. `stop` is asked between two letters; what was committed until then stays."""

    def __init__(
        self,
        topics: RedriveTopics,
        names: TopicSettings,
        plan: Plan,
        pace: Pace,
        stop: Callable[[], bool] = lambda: False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._topics, self._names, self._plan, self._pace = topics, names, plan, pace
        self._stop, self._now, self._clock, self._sleep = stop, now, clock, sleep
        self._run = uuid4().hex[:16]
        self._topic_id = ""
        self._working_at = clock()

    def run(self, progress: Progress) -> Tally:
        """Redrive what the plan selects. Blocks. Raises RedriveError or KafkaReadError; run it again at will."""
        spans: Mapping[int, OffsetSpan] | None = None
        self._working_at = self._clock()
        while True:
            try:
                index = self._renew()
                # The first spans are kept: what failed again since belongs to a later run.
                spans = spans if spans is not None else self._topics.letter_spans()
                progress.on_start(sum(span.end - span.start for span in spans.values()))
                one = RedrivePass(self._topics, self._plan, index, self._commit, self._renew, self._pace, self._now)
                return one.read(spans, self._stop, progress)
            except (InDoubt, KafkaReadError) as error:
                if self._stop() or self._clock() - self._working_at > RECOVERY_S:
                    raise
                log.warning("%s; reading the markers again", error)
                self._sleep(PAUSE_S)

    def _renew(self) -> MarkerIndex:
        """Fence every other run, this one's own past included, and return what became of each letter until then."""
        self._topics.open()
        self._topic_id = self._topics.topic_id()
        index = MarkerIndex(self._names.dead_letters, self._topic_id, self._run)
        read_markers(self._topics, index)
        return index

    def _commit(self, items: list[Redrive]) -> None:
        # The id is looked up after the letters were read: they are of this topic, and of no later one of its name.
        if self._topics.topic_id() != self._topic_id:
            raise RedriveError(f"{self._names.dead_letters} was deleted and created again; run again for its letters")
        maker, now = RecordMaker(self._names, self._topic_id, self._run), self._now()
        self._topics.commit([record for item in items for record in maker.records(item, now)])
        self._working_at = self._clock()


def preview(
    topics: LetterTopics,
    names: TopicSettings,
    plan: Plan,
    progress: Progress,
    stop: Callable[[], bool] = lambda: False,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Tally:
    """Return what a run of this plan would do now. It writes nothing and ends no other run."""
    index = MarkerIndex(names.dead_letters, topics.topic_id())
    read_markers(topics, index)
    spans = topics.letter_spans()
    progress.on_start(sum(span.end - span.start for span in spans.values()))
    one = RedrivePass(topics, plan, index, lambda items: None, lambda: index, Pace(None), now)
    return one.read(spans, stop, progress)
