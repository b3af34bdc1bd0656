"""The broker: its release, its addresses, and limits that our settings must stay below."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigEntry, ConfigResource, DescribeClusterResult, ResourceType

from sightstream.consumers.store.settings import StoreSettings
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.infra.doctor.broker_connection import unreachable_addresses
from sightstream.infra.doctor.kafka_requests import NoAnswer, ask, release
from sightstream.infra.doctor.types import Fact, Finding, Items, Unchecked
from sightstream.producers.settings import PublisherSettings
from sightstream.schemas.connections.kafka import KafkaSettings

OLDEST_LEVEL = 12  # Kafka 3.6
ANSWER_TIMEOUT_S = 10.0
MIN_OFFSETS_RETENTION_MINUTES = 24 * 60
CLUSTER_WITH_COPIES = 3


def check_broker(
    admin: AdminClient, kafka: KafkaSettings, worker: WorkerSettings, store: StoreSettings, publish: PublisherSettings
) -> Items:
    """Look at a broker that has been reached. Blocks."""
    try:
        yield from check_release(ask(kafka, lambda requests: requests.metadata_level()))
    except NoAnswer as error:
        yield Unchecked(f"the release of Kafka: {error}")
    try:
        cluster = admin.describe_cluster(request_timeout=ANSWER_TIMEOUT_S).result(ANSWER_TIMEOUT_S)
    except (KafkaException, TimeoutError) as error:
        yield Unchecked(f"the brokers of the cluster: {error}")
        return
    yield Fact("cluster", f"{cluster.cluster_id}, {len(cluster.nodes)} broker(s)")
    yield from unreachable_addresses((node.host, node.port) for node in cluster.nodes)
    config = _config(admin, cluster)
    if config is None:
        yield Unchecked("the broker's limits: this user lacks DescribeConfigs on the cluster")
        return
    yield from check_limits(config, worker, store, publish)
    yield from check_transaction_log(config, len(cluster.nodes))


def check_release(level: int | None) -> Items:
    """Compare the broker's highest metadata.version with the oldest release that is supported."""
    if level is None:
        yield Unchecked("the release of Kafka: the broker does not tell it, so it runs without KRaft")
        return
    yield Fact("Kafka", release(level))
    if level < OLDEST_LEVEL:
        yield Finding("broker-old", f"the broker runs Kafka {release(level)}; update it to 3.6 or newer")


def check_limits(
    config: Mapping[str, str | None], worker: WorkerSettings, store: StoreSettings, publish: PublisherSettings
) -> Items:
    """Compare our settings with the broker's limits."""
    least, most = _number(config, "group.min.session.timeout.ms"), _number(config, "group.max.session.timeout.ms")
    for section, session_s in (("worker", worker.session_timeout_s), ("store", store.session_timeout_s)):
        if (least is not None and session_s * 1000 < least) or (most is not None and session_s * 1000 > most):
            yield Finding(
                "session-timeout",
                f"[{section}] session_timeout_s is {session_s:g}, but the broker takes {(least or 0) / 1000:g} to "
                f"{(most or 0) / 1000:g} s (group.min.session.timeout.ms, group.max.session.timeout.ms); change one",
            )
    longest = _number(config, "transaction.max.timeout.ms")
    transactions = (("worker", worker.transaction_timeout_s), ("publish", publish.transaction_timeout_s))
    for section, timeout_s in transactions:
        if longest is not None and timeout_s * 1000 > longest:
            yield Finding(
                "transaction-timeout",
                f"[{section}] transaction_timeout_s is {timeout_s:g}, but the broker's transaction.max.timeout.ms is "
                f"{longest}; lower the first or raise the second",
            )
    metadata = _number(config, "offset.metadata.max.bytes")
    if metadata is not None and worker.offset_metadata_limit_bytes >= metadata:
        yield Finding(
            "offset-metadata-limit",
            f"[worker] offset_metadata_limit_bytes is {worker.offset_metadata_limit_bytes}, but the broker's "
            f"offset.metadata.max.bytes is {metadata}: no commit with more would succeed; lower the first",
        )
    kept = _number(config, "offsets.retention.minutes")
    if kept is not None and kept < MIN_OFFSETS_RETENTION_MINUTES:
        yield Finding(
            "offsets-retention",
            f"the broker forgets a group's offsets {kept} minutes after its last member has left "
            f"(offsets.retention.minutes), and workers then refuse to start; set it to a day or more",
        )


def check_transaction_log(config: Mapping[str, str | None], brokers: int) -> Items:
    """Look at the copies of what exactly-once stands on."""
    for topic in ("transaction.state.log", "offsets.topic"):
        copies = _number(config, f"{topic}.replication.factor")
        if copies is not None and copies < min(CLUSTER_WITH_COPIES, brokers):
            yield Finding(
                "transaction-log-copies",
                f"{topic}.replication.factor is {copies} on a cluster of {brokers} brokers: the loss of one loses "
                f"offsets or transactions; set it to {CLUSTER_WITH_COPIES}, and give the existing topic more copies",
            )


def _config(admin: AdminClient, cluster: DescribeClusterResult) -> dict[str, str | None] | None:
    resource = ConfigResource(ResourceType.BROKER, str(cluster.nodes[0].id))
    try:
        asked = admin.describe_configs([resource], request_timeout=ANSWER_TIMEOUT_S)
        entries: dict[str, ConfigEntry] = asked[resource].result(ANSWER_TIMEOUT_S)
    except (KafkaException, TimeoutError):
        return None
    return {name: entry.value for name, entry in entries.items()}


def _number(config: Mapping[str, str | None], name: str) -> int | None:
    value = config.get(name)
    return int(value) if value is not None else None
