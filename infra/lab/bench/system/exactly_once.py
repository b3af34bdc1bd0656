"""Judges from the topics, once all is over, whether each request has exactly one outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from confluent_kafka.admin import AdminClient

from sightstream.consumers.kafka.broker import Broker
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.infra.lab.bench.system.watch import OutcomeReader, Seen
from sightstream.schemas.connections.client_log import client_logger
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.topics import TopicSettings

TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What stands on the topics. `uncommitted` counts requests that the group has not committed."""

    requests: int
    lost: int
    twice: int
    unknown: int
    uncommitted: int
    dead_letters: tuple[tuple[str, int], ...]

    @property
    def is_exactly_once(self) -> bool:
        return not (self.lost or self.twice or self.unknown or self.uncommitted)


def judge(request_ids: Iterable[str], seen: Sequence[Seen], uncommitted: int) -> Outcomes:
    """Compare the requests with the outcomes that a reader saw."""
    wanted, found = set(request_ids), Counter(outcome.request_id for outcome in seen)
    reasons = Counter(outcome.reason for outcome in seen if outcome.reason is not None)
    return Outcomes(
        requests=len(wanted),
        lost=len(wanted - found.keys()),
        twice=sum(number - 1 for number in found.values()),
        unknown=len(found.keys() - wanted),
        uncommitted=uncommitted,
        dead_letters=tuple(sorted(reasons.items())),
    )


def read_outcomes(kafka: KafkaSettings, topics: TopicSettings) -> list[Seen]:
    """Read both topics from their beginning to their stable ends. Blocks."""
    reader = OutcomeReader(kafka, topics)
    reader.read_to_end()
    return reader.seen


def count_uncommitted(kafka: KafkaSettings, topics: TopicSettings) -> int:
    """Return how many requests lie behind the group's committed offsets."""
    broker = Broker(AdminClient(kafka.client_config(), logger=client_logger(__name__)), TIMEOUT_S)
    committed = broker.committed(WorkerSettings().group_id)
    ends = broker.ends(broker.partitions((topics.requests,)))
    return sum(end - (committed[at].offset if at in committed else 0) for at, end in ends.items())
