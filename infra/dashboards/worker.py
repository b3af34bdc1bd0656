"""One worker, chosen at the top: what it holds, where its time goes, what it fetches and caches."""

from __future__ import annotations

from sightstream.infra.dashboards.dashboard import WORKER_INSTANCE, Dashboard
from sightstream.infra.dashboards.panels import Panel, Query, Row
from sightstream.infra.dashboards.promql import in_range, per_second, quantile

CHOSEN = '{instance=~"$instance"}'


def _gauge(metric: str, legend: str = "{{instance}}") -> Query:
    return Query(f"{metric}{CHOSEN}", legend)


def _rate(metric: str, *by: str) -> Query:
    legend = " ".join(f"{{{{{label}}}}}" for label in by)
    return Query(per_second(metric, *by, where=CHOSEN), legend)


def _rise(metric: str, legend: str) -> Query:
    return Query(in_range(metric, where=CHOSEN), legend)


LOAD = Row(
    "Load",
    (
        Panel("Requests polled per second", (_rate("sightstream_worker_requests_taken_total", "instance"),)),
        Panel("In flight", (_gauge("sightstream_worker_in_flight"),)),
        Panel(
            "In flight, bytes",
            (
                _gauge("sightstream_worker_in_flight_bytes", "{{instance}} images"),
                _gauge("sightstream_worker_record_bytes", "{{instance}} records"),
            ),
            "bytes",
        ),
        Panel("Waiting, by queue", (_gauge("sightstream_queue_requests", "{{instance}} {{queue}}"),)),
        Panel(
            "Slots of the engine",
            (
                _gauge("sightstream_engine_slots_used", "{{instance}} used"),
                _gauge("sightstream_engine_slots", "{{instance}} all"),
            ),
        ),
        Panel("Partitions", (_gauge("sightstream_worker_partitions"),)),
        Panel(
            "Paused, breaker open",
            (
                _gauge("sightstream_worker_paused", "{{instance}} paused"),
                _gauge("sightstream_worker_breaker_open", "{{instance}} {{dependency}} breaker open"),
            ),
        ),
        Panel(
            "Canary: 1 is right; wrong answers",
            (
                _gauge("sightstream_canary_ok", "{{instance}} right"),
                _rise("sightstream_canary_failures_total", "wrong answers"),
            ),
        ),
        Panel(
            "Process restarts",
            (
                _rise("sightstream_engine_restarts_total", "engine"),
                _rise("sightstream_decoder_restarts_total", "decoder"),
                _rise("sightstream_decoder_unfiltered_total", "decoder without its filter"),
            ),
        ),
    ),
)

STAGES = Row(
    "The stages of an image",
    (
        Panel(
            "Median by stage",
            (Query(quantile(0.5, "sightstream_stage_seconds", "stage", where=CHOSEN), "{{stage}}"),),
            "s",
        ),
        Panel(
            "p95 by stage",
            (Query(quantile(0.95, "sightstream_stage_seconds", "stage", where=CHOSEN), "{{stage}}"),),
            "s",
        ),
        Panel("Tokens per second", (_rate("sightstream_engine_tokens_total", "kind"),)),
    ),
)

FETCH = Row(
    "Fetching",
    (
        Panel("Fetches by outcome", (_rate("sightstream_fetch_attempts_total", "kind", "outcome"),)),
        Panel("Fetched", (_rate("sightstream_fetched_bytes_total", "kind"),), "Bps"),
        Panel("Fetches at once, limit", (_gauge("sightstream_fetch_limit", "{{instance}} {{kind}}"),)),
    ),
)

CACHE = Row(
    "The cache",
    (
        Panel("Lookups", (_rate("sightstream_cache_lookups_total", "outcome"),), width=6),
        Panel("Writes", (_rate("sightstream_cache_writes_total", "outcome"),), width=6),
        Panel("Answers in memory", (_gauge("sightstream_cache_entries"),), width=6),
        Panel("Answers in memory, bytes", (_gauge("sightstream_cache_bytes"),), "bytes", width=6),
    ),
)

MACHINE = Row(
    "The machine",
    (
        Panel("GPU busy", (_gauge("sightstream_gpu_busy_ratio"),), "percentunit", width=6),
        Panel(
            "GPU memory",
            (
                _gauge("sightstream_gpu_memory_used_bytes", "{{instance}} used"),
                _gauge("sightstream_gpu_memory_size_bytes", "{{instance}} all"),
            ),
            "bytes",
            width=6,
        ),
        Panel(
            "Disks: free",
            (Query("sightstream_disk_free_bytes", "{{instance}} {{path_role}}"),),
            "bytes",
            width=6,
            help="Of every process, not only of the chosen worker.",
        ),
        Panel(
            "Disks: part that is free",
            (Query("sightstream_disk_free_bytes / sightstream_disk_size_bytes", "{{instance}} {{path_role}}"),),
            "percentunit",
            width=6,
            help="Of every process, not only of the chosen worker.",
        ),
    ),
)

WORKER = Dashboard("worker", "one worker", (LOAD, STAGES, MACHINE, FETCH, CACHE), (WORKER_INSTANCE,))
