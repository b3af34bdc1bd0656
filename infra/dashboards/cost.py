"""Cost: what an image needs of the engine and in money, how sure its answers are, and what the cache saves."""

from __future__ import annotations

from sightstream.infra.dashboards.dashboard import Dashboard
from sightstream.infra.dashboards.panels import Panel, Query, Row, stat
from sightstream.infra.dashboards.promql import OUTCOMES, RESULTS, mean, per_second, quantile

_LOOKUPS = per_second("sightstream_cache_lookups_total")
_WRITTEN = per_second("sightstream_engine_tokens_total", where='{kind="completion"}')
_COST = per_second("sightstream_worker_cost_total")
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
        stat("Cost per hour", f"3600 * {_COST}", help="Needs gpu_price_per_hour of [worker]; in its currency."),
        stat("Cost of 1,000 images", f"1000 * {_COST} / {OUTCOMES}"),
        Panel(
            "Confidence of answers",
            (
                Query(quantile(0.5, "sightstream_answer_confidence", "format"), "{{format}} p50"),
                Query(quantile(0.1, "sightstream_answer_confidence", "format"), "{{format}} p10"),
            ),
            "percentunit",
        ),
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
