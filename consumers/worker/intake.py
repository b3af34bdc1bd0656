"""From the consumer into the ledgers and the flow, as long as there is room."""

from __future__ import annotations

import logging
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from sightstream.consumers.metrics import PAUSED, REQUESTS_TAKEN
from sightstream.consumers.worker.claims import Claim, Claims
from sightstream.consumers.worker.ledger import LedgerError
from sightstream.consumers.worker.retries import Retries
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.consumers.worker.ticket import Ticket
from sightstream.pipeline.errors import Fatal, Rejected
from sightstream.pipeline.flow import Flow
from sightstream.schemas.wire.codec import WireError, decode_request
from sightstream.schemas.wire.dead_letter import Headers, Reason, RecordId, Stage

log = logging.getLogger(__name__)

# What the consumer has fetched ahead is thrown away by a pause and fetched again after it: a worker that is full for
# a moment, as one behind a GPU always is, only leaves it where it is. Shorter than the group's patience by far.
PAUSE_AFTER_S = 1.0


class Intake:
    """Used by the thread that owns the consumer. `reject` takes what can't even be read."""

    def __init__(
        self,
        settings: WorkerSettings,
        consumer: Consumer,
        claims: Claims,
        flow: Flow,
        retries: Retries,
        reject: Callable[[Ticket, Rejected], None],
        clock: Callable[[], float],
    ) -> None:
        self._settings, self._consumer, self._claims = settings, consumer, claims
        self._flow, self._retries, self._reject = flow, retries, reject
        self._clock = clock
        self._full_since: float | None = None
        self._shut = False

    def shut(self) -> None:
        """Takes nothing new from now on; `take` still polls, so that the group sees us."""
        self._shut = True

    def take(self, wait_s: float) -> bool:
        """Whatever the consumer has, up to the room there is; waits `wait_s` at most when it has nothing.

        Serves the group's rebalances. False, at once: there is no room, and the consumer was not asked, as it must be
        within a second. Raises Fatal.
        """
        room = self._room()
        full = room <= 0
        PAUSED.set(full)
        if self._full_for_a_moment(full):
            return False
        self._pause_or_resume(full)
        message = self._consumer.poll(wait_s)
        while message is not None:
            self._enter(message)
            room -= 1
            message = self._consumer.poll(0) if room > 0 and self._retries.admits() else None
        return True

    def _full_for_a_moment(self, full: bool) -> bool:
        if not full:
            self._full_since = None
        elif self._full_since is None:
            self._full_since = self._clock()
        return self._full_since is not None and self._clock() - self._full_since < PAUSE_AFTER_S

    def _room(self) -> int:
        """How many records to take now; counting what is held for each of them anew would cost more than the rest."""
        if self._shut or not self._retries.admits():
            return 0
        return min(self._flow.free_capacity, self._settings.max_unpublished - self._claims.unpublished)

    def _pause_or_resume(self, full: bool) -> None:
        for claim in self._claims:
            wanted = full or not claim.ledger.has_room
            # A partition is left open until it has been read from: a pause right after its assignment could
            # lose the offset to start at (librdkafka #2190).
            if wanted != claim.paused and (claim.settled or not wanted):
                change = self._consumer.pause if wanted else self._consumer.resume
                change([TopicPartition(self._claims.topic, claim.partition)])
                claim.paused = wanted

    def _enter(self, message: Message) -> None:
        error, claim = message.error(), self._claims.get(message.partition())
        at_end = error is not None and error.code() == KafkaError._PARTITION_EOF
        if error is not None and not at_end:
            self._answer_error(error)
        elif claim is not None:
            claim.settled = True
            try:
                claim.ledger.skip_to(message.offset()) if at_end else self._admit(claim, message)
            except LedgerError as problem:
                raise Fatal(f"{self._claims.topic}/{claim.partition}: {problem}") from problem

    def _admit(self, claim: Claim, message: Message) -> None:
        headers = _headers(message)
        source = RecordId(message.topic(), message.partition(), message.offset())
        ticket = Ticket(source, message.key(), message.value(), headers or [])
        unreadable = _BAD_HEADERS if headers is None else _read(ticket)
        if not claim.ledger.take(ticket.source.offset, ticket.order_key):
            return
        REQUESTS_TAKEN.inc()
        self._retries.admitted()
        claim.tickets[ticket.source.offset] = ticket
        if ticket.request is not None:
            self._flow.submit(ticket, ticket.request)
        elif unreadable is not None:
            self._reject(ticket, unreadable)

    def _answer_error(self, error: KafkaError) -> None:
        if error.fatal():
            raise Fatal(f"the consumer can't go on: {error}")
        log.warning("consumer: %s", error)


_BAD_HEADERS = Rejected(Reason.MALFORMED, Stage.TAKE, "a header's name is not UTF-8; the headers are left out here")


def _headers(message: Message) -> Headers | None:
    """None when a name is not UTF-8. Asked once: confluent-kafka hands out a broken list the second time."""
    try:
        return message.headers() or []
    except (SystemError, UnicodeDecodeError):
        return None


def _read(ticket: Ticket) -> Rejected | None:
    try:
        ticket.request = decode_request(ticket.value)
    except WireError as error:
        return Rejected(error.reason, Stage.TAKE, str(error))
    return None
