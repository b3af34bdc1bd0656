"""What two dashboards that many people run ask kafka_exporter for: grafana.com/grafana/dashboards/7589 and /11285."""

from __future__ import annotations

# As Grafana sends them, with its variables.
OF_7589 = (
    'sum(rate(kafka_topic_partition_current_offset{instance="$instance", topic=~"$topic"}[1m])) by (topic)',
    'sum(kafka_consumergroup_lag{instance="$instance",topic=~"$topic"}) by (consumergroup, topic) ',
    "sum(delta(kafka_topic_partition_current_offset{instance=~'$instance', topic=~\"$topic\"}[5m])/5) by (topic)",
    "sum(delta(kafka_consumergroup_current_offset{instance=~'$instance',topic=~\"$topic\"}[5m])/5) "
    "by (consumergroup, topic)",
    'sum by(topic) (kafka_topic_partitions{instance="$instance",topic=~"$topic"})',
)
_GROUPS = 'consumergroup=~"$consumergroup",topic=~"$topic"'
OF_11285 = (
    'count(kafka_topic_partitions{topic=~"$topic"})',
    'sum(kafka_topic_partitions{topic=~"$topic"})',
    'sum(kafka_topic_partition_replicas{topic=~"$topic"})',
    'sum(kafka_topic_partition_in_sync_replica{topic=~"$topic"})',
    'sum(kafka_topic_partition_under_replicated_partition{topic=~"$topic"})',
    # Says something only while a partition is led by another broker.
    'count(kafka_topic_partition_leader_is_preferred{topic=~"$topic"}<1)',
    'sum(rate(kafka_topic_partition_current_offset{topic=~"$topic"}[1m])) by (topic)',
    f"sum(delta(kafka_consumergroup_current_offset{{{_GROUPS}}}[1m])/60) by (consumergroup, topic)",
    f"sum(kafka_consumergroup_lag{{{_GROUPS}}}) by (consumergroup, topic) ",
    f"sum(kafka_consumergroup_current_offset{{{_GROUPS}}}) by (consumergroup,partition,topic)",
    f"sum(kafka_consumergroup_lag{{{_GROUPS}}}) by (consumergroup,partition,topic)",
    'sum(kafka_topic_partitions{topic=~"$topic"}) by (topic)',
    'sum(kafka_topic_partition_current_offset{topic=~"$topic"}) by (partition,topic)',
    'sum(kafka_topic_partition_oldest_offset{topic=~"$topic"}) by (partition,topic)',
)
# The values that their variables offer. On Kubernetes the scrape adds namespace and strimzi_io_cluster.
OF_VARIABLES = (
    "kafka_consumergroup_current_offset",
    'kafka_consumergroup_current_offset{job=~"$job"}',
    "kafka_topic_partition_current_offset{instance='$instance',topic!='__consumer_offsets',topic!='--kafka'}",
    "kafka_exporter_build_info",
    'kafka_consumergroup_current_offset{namespace="$kubernetes_namespace",strimzi_io_cluster="$strimzi_cluster_name"}',
    'kafka_topic_partition_current_offset{namespace="$kubernetes_namespace",strimzi_io_cluster="$strimzi_cluster_name"}',
)
VALUES = {
    "$topic": ".+",
    "$consumergroup": ".+",
    "$job": ".+",
    "$kubernetes_namespace": "",
    "$strimzi_cluster_name": "",
}
EXPRESSIONS = (*OF_7589, *OF_11285, *OF_VARIABLES)
OF_THE_SCRAPE = {"instance", "job", "namespace", "strimzi_io_cluster"}
EXISTS_ONLY_IN_TROUBLE = {OF_11285[5]}
