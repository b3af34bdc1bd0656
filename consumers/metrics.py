"""Every metric of the worker, the store, the lookup and the lag exporter, each with the thing that it counts.

Units are in the names (`_seconds`, `_bytes`); labels come from closed sets, never from a message. The metrics of the
stages that an image passes through are in pipeline/metrics.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily

from sightstream.pipeline.metrics import SECONDS_BUCKETS

# --- worker -----------------------------------------------------------------------------------------------
REQUESTS_TAKEN = Counter("sightstream_worker_requests_taken", "Records consumed from the request topic.")
RESULTS = Counter("sightstream_worker_results", "Results committed.")
DEAD_LETTERS = Counter("sightstream_worker_dead_letters", "Dead letters committed.", ["reason"])
RETRIES = Counter("sightstream_worker_retries", "Failed attempts that may be retried.", ["stage"])
IN_FLIGHT = Gauge("sightstream_worker_in_flight", "Requests consumed and not yet committed.")
IN_FLIGHT_BYTES = Gauge("sightstream_worker_in_flight_bytes", "Image bytes and pixels in the flow.")
RECORD_BYTES = Gauge("sightstream_worker_record_bytes", "Memory of records consumed and not yet committed.")
PARTITIONS = Gauge("sightstream_worker_partitions", "Partitions assigned to this worker.")
PAUSED = Gauge("sightstream_worker_paused", "1 while this worker consumes no new records.")
UNREADABLE_PARTITIONS = Gauge(
    "sightstream_worker_unreadable_partitions", "Partitions that wait because a record batch can't be read."
)
BREAKER_OPEN = Gauge(
    "sightstream_worker_breaker_open", "1 while the circuit breaker of a dependency is open.", ["dependency"]
)
REMOVED_BEFORE_READ = Counter(
    "sightstream_worker_removed_before_read", "Offsets that left the request topic before they were read."
)
COMMITS = Counter("sightstream_worker_commits", "Transactions by outcome.", ["outcome"])
COMMIT_SECONDS = Histogram("sightstream_worker_commit_seconds", "Duration of one transaction.", buckets=SECONDS_BUCKETS)
IN_DOUBT = Gauge("sightstream_worker_in_doubt", "1 while this worker does not know whether its last transaction holds.")
COST = Counter("sightstream_worker_cost", "Price of the time that this worker has run.")
REBALANCES = Counter("sightstream_worker_rebalances", "Assignments, revocations, losses.", ["event"])

# --- store ------------------------------------------------------------------------------------------------
STORE_ROWS = Counter("sightstream_store_rows", "Records written to the results database.", ["table"])
STORE_WRITE_SECONDS = Histogram(
    "sightstream_store_write_seconds", "Duration of one batch's write.", buckets=SECONDS_BUCKETS
)
STORE_PARTITIONS = Gauge("sightstream_store_partitions", "Partitions assigned to this store.")
STORE_RESETS = Counter(
    "sightstream_store_resets", "Partitions whose stored position the broker no longer had.", ["cause"]
)

# --- lookup -----------------------------------------------------------------------------------------------
LOOKUP_RECORDS = Counter("sightstream_lookup_records", "Result records by outcome.", ["outcome"])
LOOKUP_REQUESTS = Counter("sightstream_lookup_requests", "Lookups by HTTP status.", ["status"])
LOOKUP_REREADS = Counter("sightstream_lookup_rereads", "Times a partition was read again to find a dropped record.")
LOOKUP_READY = Gauge("sightstream_lookup_ready", "1 while the table is complete and answers lookups.", registry=None)

# --- lag --------------------------------------------------------------------------------------------------
LAG_READS = Counter("sightstream_lag_reads", "Readings of lag by outcome.", ["outcome"])


@contextmanager
def showing(gauge: Gauge) -> Iterator[None]:
    """Show a gauge while the block runs. In a process that does not set it, 0 would say that something is wrong."""
    REGISTRY.register(gauge)
    try:
        yield
    finally:
        REGISTRY.unregister(gauge)


class Exported(NamedTuple):
    """A gauge whose samples are read when they are asked for: from the broker, the GPU or a disk."""

    name: str
    documentation: str
    labels: tuple[str, ...]

    def family(self) -> GaugeMetricFamily:
        """Empty; `add_metric(values of labels, value)` fills it."""
        return GaugeMetricFamily(self.name, self.documentation, labels=self.labels)


# Names and labels as in kafka_exporter, then as in kafka-lag-exporter: people's dashboards know them.
_OF_PARTITION = ("topic", "partition")
_OF_GROUP_PARTITION = ("consumergroup", "topic", "partition")
_OF_MEMBER = ("cluster_name", "group", "topic", "partition", "member_host", "consumer_id", "client_id")
CONSUMERGROUP_LAG = Exported(
    "kafka_consumergroup_lag",
    "Records of a partition that a group has not finished, up to the last stable offset.",
    _OF_GROUP_PARTITION,
)
CONSUMERGROUP_LAG_SUM = Exported(
    "kafka_consumergroup_lag_sum", "The same over all partitions of a topic.", ("consumergroup", "topic")
)
CONSUMERGROUP_CURRENT_OFFSET = Exported(
    "kafka_consumergroup_current_offset", "Committed offset of a group.", _OF_GROUP_PARTITION
)
CONSUMERGROUP_MEMBERS = Exported("kafka_consumergroup_members", "Consumers in a group.", ("consumergroup",))
TOPIC_PARTITIONS = Exported("kafka_topic_partitions", "Partitions of a topic.", ("topic",))
PARTITION_CURRENT_OFFSET = Exported(
    "kafka_topic_partition_current_offset", "Last stable offset of a partition.", _OF_PARTITION
)
PARTITION_UNSTABLE_OFFSETS = Exported(
    "sightstream_partition_unstable_offsets", "Offsets beyond the last stable one.", _OF_PARTITION
)
PARTITION_OLDEST_OFFSET = Exported(
    "kafka_topic_partition_oldest_offset", "Earliest offset that a partition still has.", _OF_PARTITION
)
PARTITION_REPLICAS = Exported("kafka_topic_partition_replicas", "Replicas of a partition.", _OF_PARTITION)
PARTITION_IN_SYNC = Exported(
    "kafka_topic_partition_in_sync_replica", "Replicas of a partition that are in sync.", _OF_PARTITION
)
PARTITION_UNDER_REPLICATED = Exported(
    "kafka_topic_partition_under_replicated_partition", "1 while a replica is not in sync.", _OF_PARTITION
)
PARTITION_LEADER_PREFERRED = Exported(
    "kafka_topic_partition_leader_is_preferred", "1 while the preferred broker leads the partition.", _OF_PARTITION
)
EXPORTER_BUILD = Exported("kafka_exporter_build_info", "1, with the version of this exporter.", ("version",))
GROUP_LAG_SECONDS = Exported(
    "kafka_consumergroup_group_lag_seconds", "Age of the oldest unfinished record of a partition.", _OF_MEMBER
)
GROUP_MAX_LAG_SECONDS = Exported(
    "kafka_consumergroup_group_max_lag_seconds", "Age of the oldest unfinished record.", ("cluster_name", "group")
)
QUEUE_EMPTY_SECONDS = Exported(
    "sightstream_queue_empty_seconds", "Seconds until the group's lag is 0; absent while it does not fall.", ("group",)
)
QUEUE_ARRIVALS = Exported("sightstream_queue_arrivals_per_second", "Offsets that arrive for a group.", ("group",))
QUEUE_COMPLETIONS = Exported("sightstream_queue_completions_per_second", "Offsets that a group finishes.", ("group",))
QUEUE_GPU_SECONDS = Exported("sightstream_queue_gpu_seconds", "GPU-seconds of the workers' lag.", ("group",))
QUEUE_ESTIMATED = Exported(
    "sightstream_queue_estimated_partitions", "Partitions whose lag is an estimate from samples.", ("group",)
)

# --- the machine ------------------------------------------------------------------------------------------
GPU_BUSY = Exported("sightstream_gpu_busy_ratio", "Part of the last second or less in which the GPU ran a kernel.", ())
GPU_MEMORY_USED = Exported("sightstream_gpu_memory_used_bytes", "Memory of the GPU in use, by whichever program.", ())
GPU_MEMORY_SIZE = Exported("sightstream_gpu_memory_size_bytes", "Memory that the GPU has.", ())
DISK_FREE = Exported(
    "sightstream_disk_free_bytes", "Free space of the disk that a folder or file of ours is on.", ("path_role",)
)
DISK_SIZE = Exported("sightstream_disk_size_bytes", "Size of that disk.", ("path_role",))
