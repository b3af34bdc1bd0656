"""Exactly-once health: transactions, rebalances, what was lost before it was read, and readers that keep up."""

from __future__ import annotations

from sightstream.infra.dashboards.dashboard import Dashboard
from sightstream.infra.dashboards.panels import Panel, Query, Row
from sightstream.infra.dashboards.promql import OUTCOMES, in_range, per_second, quantile

COMMITS = Row(
    "Transactions",
    (
        Panel(
            "Transactions by outcome",
            (Query(per_second("sightstream_worker_commits_total", "outcome"), "{{outcome}}"),),
        ),
        Panel(
            "Duration of a transaction",
            (
                Query(quantile(0.5, "sightstream_worker_commit_seconds"), "p50"),
                Query(quantile(0.99, "sightstream_worker_commit_seconds"), "p99"),
            ),
            "s",
        ),
        Panel(
            "Transaction in doubt",
            (Query("sightstream_worker_in_doubt", "{{instance}}"),),
            help="1 while a worker does not know whether its last transaction was committed.",
        ),
        Panel(
            "Offsets behind open transactions",
            (
                Query(
                    "max by (topic, partition) (sightstream_partition_unstable_offsets)",
                    "{{topic}} {{partition}}",
                ),
            ),
            help="Readers wait while this stays above 0 and the last stable offset does not move.",
        ),
        Panel("Rebalances", (Query(per_second("sightstream_worker_rebalances_total", "event"), "{{event}}"),)),
    ),
)

LOSS = Row(
    "What could be lost",
    (
        Panel(
            "Requests removed unread",
            (Query(in_range("sightstream_worker_removed_before_read_total", "instance"), "{{instance}}"),),
            help="Retention removed them before a worker read them: they have no outcome.",
        ),
        Panel(
            "Partitions that can't be read",
            (Query("sightstream_worker_unreadable_partitions", "{{instance}}"),),
        ),
        Panel(
            "Store: positions lost",
            (Query(in_range("sightstream_store_resets_total", "cause"), "{{cause}}"),),
        ),
    ),
)

REPEATED = Row(
    "What was done twice, and seen once",
    (
        Panel(
            "Work repeated",
            (Query(in_range("sightstream_work_repeated_total", "cause"), "{{cause}}"),),
            help="Requests worked on once more after a kill or a move. Readers see one outcome.",
        ),
    ),
)

READERS = Row(
    "Readers keep up",
    (
        Panel(
            "Outcomes and rows per second",
            (
                Query(OUTCOMES, "outcomes"),
                Query(per_second("sightstream_store_rows_total"), "rows"),
            ),
            help="The store writes one row for each outcome; over time both are equal.",
        ),
        Panel(
            "Lookup: partitions read again",
            (Query(in_range("sightstream_lookup_rereads_total"), "read again"),),
        ),
    ),
)

EXACTLY_ONCE = Dashboard("exactly-once", "exactly-once health", (COMMITS, LOSS, REPEATED, READERS))
