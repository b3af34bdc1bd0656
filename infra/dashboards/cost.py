"""Cost: what an image needs of the engine, and what the cache saves."""

from __future__ import annotations

from sightstream.infra.dashboards.dashboard import Dashboard
from sightstream.infra.dashboards.panels import Panel, Query, Row, stat
from sightstream.infra.dashboards.promql import OUTCOMES, RESULTS, mean, per_second

_LOOKUPS = per_second("sightstream_cache_lookups_total")
_WRITTEN = per_second("sightstream_engine_tokens_total", where='{kind="completion"}')
_HITS = per_second("sightstream_cache_lookups_total", where='{outcome="hit"}')

IMAGE = Row(
    "An image",
    (
        stat("Images per second", OUTCOMES),
        stat("Images per worker and hour", f"3600 * {OUTCOMES} / sum(sightstream_worker_partitions > bool 0)"),
        stat("Tokens of an answer", f"{_WRITTEN} / {RESULTS}"),
        stat(
            "Time in the engine",
            mean("sightstream_stage_seconds", '{stage="infer"}'),
            "s",
            "Waiting for a slot included.",
        ),
        stat("Answers from the cache", f"({_HITS} or vector(0)) / {_LOOKUPS}", "percentunit"),
        Panel("Tokens per second", (Query(per_second("sightstream_engine_tokens_total", "kind"), "{{kind}}"),)),
    ),
)

SAVED = Row(
    "Work that was saved",
    (
        Panel("Cache: lookups", (Query(per_second("sightstream_cache_lookups_total", "outcome"), "{{outcome}}"),)),
        Panel(
            "Requests without work of their own, per second",
            (
                Query(per_second("sightstream_shared_requests_total"), "coalesced with an equal request"),
                Query(per_second("sightstream_unchanged_images_total"), "image unchanged, not downloaded"),
            ),
        ),
    ),
)

COST = Dashboard("cost", "cost", (IMAGE, SAVED))
