"""Every metric of the stages that an image passes through, each with the thing that it counts.

Units stand in the names (`_seconds`, `_bytes`); labels come from closed sets, never from a message. The metrics of the
worker, the store, the lookup and lag are in consumers/metrics.py.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

SECONDS_BUCKETS = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)

STAGE_SECONDS = Histogram(
    "sightstream_stage_seconds", "Time of one image in one stage.", ["stage"], buckets=SECONDS_BUCKETS
)
TOKENS = Counter("sightstream_engine_tokens", "Tokens of answered requests.", ["kind"])
ENGINE_RESTARTS = Counter("sightstream_engine_restarts", "Engine processes started after a death or a hang.")
DECODER_RESTARTS = Counter("sightstream_decoder_restarts", "Decode processes started after a death or a hang.")
FETCHES = Counter("sightstream_fetch_attempts", "Attempts to fetch an image by how they ended.", ["kind", "outcome"])
FETCHED_BYTES = Counter("sightstream_fetched_bytes", "Bytes of images that were fetched.", ["kind"])
FETCH_LIMIT = Gauge(
    "sightstream_fetch_limit", "Fetches at once that the store, or the host that bears least, is asked for.", ["kind"]
)
CACHE_LOOKUPS = Counter("sightstream_cache_lookups", "Look-ups in the result cache by how they ended.", ["outcome"])
CACHE_WRITES = Counter("sightstream_cache_writes", "Writes to the result cache by how they ended.", ["outcome"])
CACHE_ENTRIES = Gauge("sightstream_cache_entries", "Answers in the cache that is in memory.")
CACHE_BYTES = Gauge("sightstream_cache_bytes", "Memory that these answers take, at most.")
SHARED = Counter("sightstream_shared_requests", "Requests that got the outcome of an equal one they waited for.")
UNCHANGED = Counter("sightstream_unchanged_images", "Images that were not downloaded again.")
