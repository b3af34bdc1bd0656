"""Every metric of the stages that an image passes through, each with what it counts.

Units stand in the names (`_seconds`, `_bytes`); labels come from closed sets, never from a message. The metrics of the
worker, the store, the lookup and lag are in consumers/metrics.py.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

SECONDS_BUCKETS = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)

STAGE_SECONDS = Histogram(
    "sightstream_stage_seconds", "Time that one image spends in one stage.", ["stage"], buckets=SECONDS_BUCKETS
)
QUEUED = Gauge("sightstream_queue_requests", "Requests, or questions, that wait for their next step.", ["queue"])
TOKENS = Counter("sightstream_engine_tokens", "Tokens of the requests that the engine answered.", ["kind"])
SLOTS = Gauge("sightstream_engine_slots", "Questions that the engine can answer at once; 0 until it is loaded.")
SLOTS_USED = Gauge("sightstream_engine_slots_used", "Questions that the engine answers now.")
ENGINE_RESTARTS = Counter("sightstream_engine_restarts", "Engine processes restarted after a crash or a hang.")
CANARY_OK = Gauge(
    "sightstream_canary_ok", "1 if the engine's last answer to its known-good job was right, 0 if not.", ["engine"]
)
CANARY_FAILURES = Counter(
    "sightstream_canary_failures", "Wrong answers of the engine to its known-good job.", ["engine"]
)
DECODER_RESTARTS = Counter("sightstream_decoder_restarts", "Decode processes restarted after a crash or a hang.")
DECODER_UNFILTERED = Counter(
    "sightstream_decoder_unfiltered_total", "Decode processes that the system refused their filter of system calls."
)
FETCHES = Counter("sightstream_fetch_attempts", "Attempts to fetch an image, by outcome.", ["kind", "outcome"])
FETCHED_BYTES = Counter("sightstream_fetched_bytes", "Bytes of the images that were fetched.", ["kind"])
FETCH_LIMIT = Gauge(
    "sightstream_fetch_limit", "Concurrent fetches allowed from the store, or from the most limited host.", ["kind"]
)
CACHE_LOOKUPS = Counter("sightstream_cache_lookups", "Reads from the answer cache, by outcome.", ["outcome"])
CACHE_WRITES = Counter("sightstream_cache_writes", "Writes to the answer cache, by outcome.", ["outcome"])
CACHE_ENTRIES = Gauge("sightstream_cache_entries", "Answers in the in-memory cache.")
CACHE_BYTES = Gauge("sightstream_cache_bytes", "Upper bound of the memory that the in-memory cache uses.")
COALESCED = Counter(
    "sightstream_shared_requests", "Questions that waited for an equal question and received its outcome."
)
REPEATED = Counter(
    "sightstream_work_repeated", "Requests that are worked on once more because an earlier work was lost.", ["cause"]
)
CONFIDENCE = Histogram(
    "sightstream_answer_confidence",
    "Probability of the value of an answer, where the engine gives one.",
    ["format"],
    buckets=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1),
)
UNCHANGED = Counter("sightstream_unchanged_images", "Images not downloaded again because the store has the same ones.")
