"""The lag: how far each group is behind, in records and in seconds, and on which partition."""

from __future__ import annotations

from sightstream.infra.dashboards.dashboard import GROUP, Dashboard
from sightstream.infra.dashboards.panels import Panel, Query, Row, stat
from sightstream.infra.dashboards.promql import OUTCOMES

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

LAG = Dashboard("lag", "lag", (QUEUE, GROUPS, PARTITIONS), (GROUP,))
