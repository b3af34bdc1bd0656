"""The lag: how far each group is behind, in records and in seconds, and on which partition."""

from __future__ import annotations

from sightstream.infra.dashboards.dashboard import GROUP, Dashboard
from sightstream.infra.dashboards.panels import Panel, Query, Row, stat
from sightstream.infra.dashboards.promql import OUTCOMES, per_second

QUEUE = Row(
    "The queue",
    (
        stat("Images waiting", 'sum(kafka_consumergroup_lag_sum{consumergroup="$group"})'),
        stat("Oldest waiting", 'max(kafka_consumergroup_group_max_lag_seconds{group="$group"})', "s"),
        stat(
            "Empty in",
            'max(sightstream_queue_empty_seconds{group="$group"})',
            "s",
            "No value while the lag does not fall.",
        ),
        stat("Members", 'max(kafka_consumergroup_members{consumergroup="$group"})'),
        stat("Images per second", OUTCOMES),
        stat("Failed lag readings", 'sum(increase(sightstream_lag_reads_total{outcome="failed"}[$__range]))'),
    ),
)

GROUPS = Row(
    "All groups",
    (
        Panel(
            "Lag by group",
            (Query("sum by (consumergroup, topic) (kafka_consumergroup_lag_sum)", "{{consumergroup}} {{topic}}"),),
            width=12,
        ),
        Panel(
            "Lag by group, in seconds",
            (Query("max by (group) (kafka_consumergroup_group_max_lag_seconds)", "{{group}}"),),
            "s",
            width=12,
        ),
    ),
)

PROGRESS = Row(
    "How fast the group is",
    (
        Panel(
            "Offsets per second, arriving and finished",
            (
                Query('sum(sightstream_queue_arrivals_per_second{group="$group"})', "arriving"),
                Query('sum(sightstream_queue_completions_per_second{group="$group"})', "finished"),
            ),
        ),
        Panel(
            "GPU time of the lag",
            (Query("sum(sightstream_queue_gpu_seconds)", "GPU time"),),
            "s",
            help="Of the workers' group: unfinished records times the GPU time of one image.",
        ),
        Panel(
            "Partitions whose lag is an estimate",
            (Query("sum by (group) (sightstream_queue_estimated_partitions)", "{{group}}"),),
            help="More is left than one reading may count (read_records and read_bytes of [lag]).",
        ),
    ),
)

PARTITIONS = Row(
    "Partitions of the group",
    (
        Panel(
            "Lag by partition",
            (
                Query(
                    'sum by (topic, partition) (kafka_consumergroup_lag{consumergroup="$group"})',
                    "{{topic}} {{partition}}",
                ),
            ),
            width=12,
        ),
        Panel(
            "Age by partition and owner",
            (
                Query(
                    'max by (topic, partition, client_id) (kafka_consumergroup_group_lag_seconds{group="$group"})',
                    "{{topic}} {{partition}} {{client_id}}",
                ),
            ),
            "s",
            width=12,
        ),
    ),
)

TOPICS = Row(
    "Topics",
    (
        Panel(
            "Offsets written per second",
            (Query(per_second("kafka_topic_partition_current_offset", "topic"), "{{topic}}"),),
        ),
        Panel(
            "Offsets committed per second",
            (
                Query(
                    per_second("kafka_consumergroup_current_offset", "consumergroup", "topic"),
                    "{{consumergroup}} {{topic}}",
                ),
            ),
        ),
        Panel(
            "Offsets on disk",
            (
                Query(
                    "sum by (topic) (kafka_topic_partition_current_offset - kafka_topic_partition_oldest_offset)",
                    "{{topic}}",
                ),
            ),
        ),
        Panel("Partitions", (Query("sum by (topic) (kafka_topic_partitions)", "{{topic}}"),)),
        Panel(
            "Replicas, in sync",
            (
                Query("sum by (topic) (kafka_topic_partition_replicas)", "{{topic}} replicas"),
                Query("sum by (topic) (kafka_topic_partition_in_sync_replica)", "{{topic}} in sync"),
            ),
        ),
        Panel(
            "Partitions that lack a replica, or their preferred leader",
            (
                Query("sum by (topic) (kafka_topic_partition_under_replicated_partition)", "{{topic}} lack a replica"),
                Query("sum by (topic) (1 - kafka_topic_partition_leader_is_preferred)", "{{topic}} led by another"),
                Query("count by (version) (kafka_exporter_build_info)", "lag exporter {{version}}"),
            ),
        ),
    ),
)

LAG = Dashboard("lag", "lag", (QUEUE, GROUPS, PROGRESS, PARTITIONS, TOPICS), (GROUP,))
