"""The overview: is it working, how far behind is it, what fails."""

from __future__ import annotations

from sightstream.infra.dashboards.dashboard import GROUP, Dashboard
from sightstream.infra.dashboards.panels import Panel, Query, Row, stat
from sightstream.infra.dashboards.promql import DEAD_LETTERS, OUTCOMES, RESULTS, in_range, per_second, quantile

NOW = Row(
    "Now",
    (
        stat("Images waiting", 'sum(kafka_consumergroup_lag_sum{consumergroup="$group"})'),
        stat("Oldest waiting", 'max(kafka_consumergroup_group_max_lag_seconds{group="$group"})', "s"),
        stat("Images per second", OUTCOMES),
        stat(
            "Dead letters among outcomes",
            f"{in_range('sightstream_worker_dead_letters_total')} / ({in_range('sightstream_worker_results_total')} + "
            f"{in_range('sightstream_worker_dead_letters_total')})",
            "percentunit",
        ),
        stat("Workers", 'max(kafka_consumergroup_members{consumergroup="$group"})'),
        stat("Processes that do not answer", "sum(1 - up)", help="Those that this Prometheus scrapes."),
    ),
)

OUTCOME = Row(
    "Outcomes",
    (
        Panel("Answers and dead letters per second", (Query(RESULTS, "answers"), Query(DEAD_LETTERS, "dead letters"))),
        Panel(
            "Dead letters by reason",
            (Query(per_second("sightstream_worker_dead_letters_total", "reason"), "{{reason}}"),),
        ),
        Panel(
            "Oldest unfinished record by group",
            (Query("max by (group) (kafka_consumergroup_group_max_lag_seconds)", "{{group}}"),),
            "s",
        ),
        Panel("p95 by stage", (Query(quantile(0.95, "sightstream_stage_seconds", "stage"), "{{stage}}"),), "s"),
        Panel("Retries by stage", (Query(per_second("sightstream_worker_retries_total", "stage"), "{{stage}}"),)),
        Panel(
            "Breakers open",
            (Query("max by (dependency) (sightstream_worker_breaker_open)", "{{dependency}}"),),
            help="1 while a dependency is down and its requests wait.",
        ),
    ),
)

READERS = Row(
    "Store and lookup",
    (
        Panel("Rows per second", (Query(per_second("sightstream_store_rows_total", "table"), "{{table}}"),)),
        Panel("Duration of a write, p99", (Query(quantile(0.99, "sightstream_store_write_seconds"), "p99"),), "s"),
        Panel("Store: partitions", (Query("sum(sightstream_store_partitions)", "partitions"),)),
        Panel("Lookups per second", (Query(per_second("sightstream_lookup_requests_total", "status"), "{{status}}"),)),
        Panel(
            "Results applied per second",
            (Query(per_second("sightstream_lookup_records_total", "outcome"), "{{outcome}}"),),
        ),
        Panel("Lookup: ready", (Query("min(sightstream_lookup_ready)", "ready"),)),
    ),
)

OVERVIEW = Dashboard("overview", "overview", (NOW, OUTCOME, READERS), (GROUP,))
