"""Defines the dashboard: the queue, the workers, the stages of an image, the store and the lookup."""

from __future__ import annotations

from sightstream.infra.dashboards.panels import DATASOURCE, Json, Panel, Query, Row, layout

_RATE = "[$__rate_interval]"


def _per_second(metric: str, *by: str) -> str:
    labels = f" by ({', '.join(by)})" if by else ""
    return f"sum{labels} (rate({metric}{_RATE}))"


def _quantile(fraction: float, metric: str, *by: str) -> str:
    labels = ", ".join(("le", *by))
    return f"histogram_quantile({fraction}, sum by ({labels}) (rate({metric}_bucket{_RATE})))"


def _stat(title: str, expression: str, unit: str = "short", help: str = "") -> Panel:
    return Panel(title, (Query(expression),), unit, "stat", width=4, height=4, help=help)


_ANSWERS = _per_second("sightstream_worker_results_total")
_DEAD = _per_second("sightstream_worker_dead_letters_total")

QUEUE = Row(
    "The queue",
    (
        _stat("Images waiting", 'sum(kafka_consumergroup_lag_sum{consumergroup="$group"})'),
        _stat("Oldest waiting", 'max(kafka_consumergroup_group_max_lag_seconds{group="$group"})', "s"),
        _stat(
            "Empty in",
            'max(sightstream_queue_empty_seconds{group="$group"})',
            "s",
            "No value while the lag does not fall.",
        ),
        _stat("Members", 'max(kafka_consumergroup_members{consumergroup="$group"})'),
        _stat("Images per second", f"({_ANSWERS}) + ({_DEAD} or vector(0))"),
        _stat("Failed lag readings", 'sum(increase(sightstream_lag_reads_total{outcome="failed"}[$__range]))'),
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

WORKERS = Row(
    "Workers",
    (
        Panel("Answers and dead letters per second", (Query(_ANSWERS, "answers"), Query(_DEAD, "dead letters"))),
        Panel(
            "Dead letters by reason",
            (Query(_per_second("sightstream_worker_dead_letters_total", "reason"), "{{reason}}"),),
        ),
        Panel("Retries by stage", (Query(_per_second("sightstream_worker_retries_total", "stage"), "{{stage}}"),)),
        Panel(
            "Requests polled per second",
            (Query(_per_second("sightstream_worker_requests_taken_total", "instance"), "{{instance}}"),),
        ),
        Panel("In flight", (Query("sightstream_worker_in_flight", "{{instance}}"),)),
        Panel("In flight, bytes", (Query("sightstream_worker_in_flight_bytes", "{{instance}}"),), "bytes"),
        Panel("Partitions", (Query("sightstream_worker_partitions", "{{instance}}"),)),
        Panel(
            "Paused, breaker open",
            (
                Query("sightstream_worker_paused", "{{instance}} paused"),
                Query("sightstream_worker_breaker_open", "{{instance}} {{dependency}} breaker open"),
            ),
        ),
        Panel(
            "Partitions that can't be read, requests removed unread",
            (
                Query("sightstream_worker_unreadable_partitions", "{{instance}} unreadable"),
                Query("increase(sightstream_worker_removed_before_read_total[1h])", "{{instance}} removed in an hour"),
            ),
        ),
        Panel("Rebalances", (Query(_per_second("sightstream_worker_rebalances_total", "event"), "{{event}}"),)),
        Panel("Transactions", (Query(_per_second("sightstream_worker_commits_total", "outcome"), "{{outcome}}"),)),
        Panel(
            "Duration of a transaction",
            (
                Query(_quantile(0.5, "sightstream_worker_commit_seconds"), "p50"),
                Query(_quantile(0.99, "sightstream_worker_commit_seconds"), "p99"),
            ),
            "s",
        ),
        Panel(
            "Process restarts",
            (
                Query("sum(increase(sightstream_engine_restarts_total[$__range]))", "engine"),
                Query("sum(increase(sightstream_decoder_restarts_total[$__range]))", "decoder"),
                Query("sum(increase(sightstream_decoder_unfiltered_total[$__range]))", "decoder without its filter"),
            ),
        ),
    ),
)

STAGES = Row(
    "The stages of an image",
    (
        Panel("Median by stage", (Query(_quantile(0.5, "sightstream_stage_seconds", "stage"), "{{stage}}"),), "s"),
        Panel("p95 by stage", (Query(_quantile(0.95, "sightstream_stage_seconds", "stage"), "{{stage}}"),), "s"),
        Panel("Tokens per second", (Query(_per_second("sightstream_engine_tokens_total", "kind"), "{{kind}}"),)),
        Panel(
            "Fetches by outcome",
            (Query(_per_second("sightstream_fetch_attempts_total", "kind", "outcome"), "{{kind}} {{outcome}}"),),
        ),
        Panel("Fetched", (Query(_per_second("sightstream_fetched_bytes_total", "kind"), "{{kind}}"),), "Bps"),
        Panel("Fetches at once, limit", (Query("sightstream_fetch_limit", "{{instance}} {{kind}}"),)),
        Panel("Cache: lookups", (Query(_per_second("sightstream_cache_lookups_total", "outcome"), "{{outcome}}"),)),
        Panel("Cache: writes", (Query(_per_second("sightstream_cache_writes_total", "outcome"), "{{outcome}}"),)),
        Panel(
            "Requests without work of their own, per second",
            (
                Query(_per_second("sightstream_shared_requests_total"), "coalesced with an equal request"),
                Query(_per_second("sightstream_unchanged_images_total"), "image unchanged, not downloaded"),
            ),
        ),
        Panel("Answers in memory", (Query("sightstream_cache_entries", "{{instance}}"),)),
        Panel("Answers in memory, bytes", (Query("sightstream_cache_bytes", "{{instance}}"),), "bytes"),
    ),
)

USE = Row(
    "Store and lookup",
    (
        Panel("Rows per second", (Query(_per_second("sightstream_store_rows_total", "table"), "{{table}}"),)),
        Panel("Duration of a write, p99", (Query(_quantile(0.99, "sightstream_store_write_seconds"), "p99"),), "s"),
        Panel(
            "Store: partitions, positions lost",
            (
                Query("sum(sightstream_store_partitions)", "partitions"),
                Query("sum by (cause) (increase(sightstream_store_resets_total[$__range]))", "{{cause}}"),
            ),
        ),
        Panel("Lookups per second", (Query(_per_second("sightstream_lookup_requests_total", "status"), "{{status}}"),)),
        Panel(
            "Results applied per second",
            (Query(_per_second("sightstream_lookup_records_total", "outcome"), "{{outcome}}"),),
        ),
        Panel(
            "Lookup: ready, partitions re-read",
            (
                Query("min(sightstream_lookup_ready)", "ready"),
                Query("sum(increase(sightstream_lookup_rereads_total[$__range]))", "re-read"),
            ),
        ),
    ),
)

ROWS = (QUEUE, WORKERS, STAGES, USE)


def dashboard() -> Json:
    """Return the dashboard for Grafana 10 and newer, which asks for the data source when importing it."""
    return {
        "uid": "sightstream",
        "title": "Sightstream",
        "tags": ["sightstream", "kafka"],
        "timezone": "browser",
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_datasource(), _group()]},
        "annotations": {"list": []},
        "panels": layout(ROWS),
    }


def _datasource() -> Json:
    return {"name": "datasource", "type": "datasource", "label": "Data source", "query": "prometheus"}


def _group() -> Json:
    query = "label_values(kafka_consumergroup_lag_sum, consumergroup)"
    default = {"text": "sightstream-workers", "value": "sightstream-workers"}
    return {
        "name": "group",
        "type": "query",
        "label": "Consumer group",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": "group"},
        "definition": query,
        "current": default,
        "refresh": 2,
        "sort": 1,
    }
