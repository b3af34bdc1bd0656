"""When to commit, what goes into the transaction, and how to go on after one that failed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka import Consumer, TopicPartition

from sightstream.consumers.metrics import COMMIT_SECONDS, COMMITS, DEAD_LETTERS, RESULTS
from sightstream.consumers.worker.claims import Claim, Claims
from sightstream.consumers.worker.ledger import CommitPoint
from sightstream.consumers.worker.records import OutgoingRecord
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.consumers.worker.transactions import Aborted, CommitError, NotAMember, Transactions, Unsure

log = logging.getLogger(__name__)

PAUSE_AFTER_FAILURE_S = 1.0
# So that a commit stays within its time on a slow link, however much has piled up.
MAX_TRANSACTION_BYTES = 8 * 1024**2


@dataclass(frozen=True, slots=True)
class _Share:
    """One partition's part of a transaction."""

    claim: Claim
    ready: dict[int, OutgoingRecord]
    point: CommitPoint


@dataclass(slots=True)
class _Room:
    """What still fits one transaction. The first record always does."""

    records: int
    bytes: int
    _used: bool = False

    def takes(self, record: OutgoingRecord) -> bool:
        self.records -= 1
        self.bytes -= len(record.value or b"")
        fits = not self._used or (self.records >= 0 and self.bytes >= 0)
        self._used = True
        return fits


class Committer:
    """Used by the thread that owns the consumer."""

    def __init__(
        self,
        settings: WorkerSettings,
        topic: str,
        claims: Claims,
        transactions: Transactions,
        consumer: Consumer,
        clock: Callable[[], float],
    ) -> None:
        self._settings, self._topic, self._clock = settings, topic, clock
        self._claims, self._transactions, self._consumer = claims, transactions, consumer
        self._unsure = True
        self._next_try = 0.0

    def start(self) -> bool:
        """Ends what a predecessor of the same name left open. Blocks; False: the broker can't be reached yet."""
        try:
            self._find_out()
        except Unsure as error:
            log.warning("no transactions yet: %s", error)
        return not self._unsure

    def commit_if_due(self) -> None:
        """Commits what is ready once the interval is over or the batch is full. Raises Fatal."""
        now = self._clock()
        shares = self._shares() if now >= self._next_try else []
        if shares:
            full = sum(len(share.ready) for share in shares) >= self._settings.commit_batch
            self._next_try = now + (0 if full else self._settings.commit_interval_s)
            self._try(shares)

    def commit_or_give_up(self) -> None:
        """One try, now: the partitions are about to go. Raises Fatal."""
        if shares := self._shares():
            self._try(shares)

    def close(self) -> None:
        self._transactions.close()

    def _shares(self) -> list[_Share]:
        """The partitions that have something to say."""
        found, room = [], _Room(self._settings.commit_batch, MAX_TRANSACTION_BYTES)
        for claim in self._claims:
            ready = claim.ledger.publishable(room.takes)
            point = claim.ledger.commit_point(ready)
            if ready or claim.ledger.has_news(point):
                found.append(_Share(claim, ready, point))
        return found

    def _try(self, shares: list[_Share]) -> None:
        try:
            if self._unsure:
                self._find_out()
                shares = self._shares()
            with COMMIT_SECONDS.time():
                self._commit(shares)
        except CommitError as error:
            self._unsure = self._unsure or isinstance(error, Unsure)
            self._next_try = self._clock() + PAUSE_AFTER_FAILURE_S
            COMMITS.labels(_NAMES[type(error)]).inc()
            log.warning("not committed (%s): %s", _NAMES[type(error)], error)

    def _find_out(self) -> None:
        """After a transaction of unknown end: a fresh producer ends it, then Kafka says what holds."""
        self._transactions.renew()
        self._claims.settle_from_broker()
        self._unsure = False

    def _commit(self, shares: list[_Share]) -> None:
        records = [record for share in shares for record in share.ready.values()]
        offsets = [
            TopicPartition(self._topic, share.claim.partition, share.point.offset, share.point.note) for share in shares
        ]
        self._transactions.commit(records, offsets, self._consumer)
        for share in shares:
            self._claims.settle(share.claim, share.point)
        COMMITS.labels("committed").inc()
        _count(records)


_NAMES: dict[type[CommitError], str] = {Aborted: "aborted", NotAMember: "not_a_member", Unsure: "unsure"}


def _count(records: list[OutgoingRecord]) -> None:
    for record in records:
        if record.reason is None:
            RESULTS.inc()
        else:
            DEAD_LETTERS.labels(record.reason.value).inc()
