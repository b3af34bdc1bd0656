"""Every metric of the workers, the store, the look-up and the lag exporter, each with what it counts.

Units stand in the names (`_seconds`, `_bytes`); labels come from closed sets, never from a message.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)

# --- worker -----------------------------------------------------------------------------------------------
REQUESTS_TAKEN = Counter("sightstream_worker_requests_taken", "Records taken from the request topic.")
RESULTS = Counter("sightstream_worker_results", "Results committed.")
DEAD_LETTERS = Counter("sightstream_worker_dead_letters", "Dead letters committed.", ["reason"])
RETRIES = Counter("sightstream_worker_retries", "Attempts that will be made again.", ["stage"])
IN_FLIGHT = Gauge("sightstream_worker_in_flight", "Requests taken and not yet committed.")
IN_FLIGHT_BYTES = Gauge("sightstream_worker_in_flight_bytes", "Image bytes and pixels held by the flow.")
PARTITIONS = Gauge("sightstream_worker_partitions", "Partitions assigned to this worker.")
PAUSED = Gauge("sightstream_worker_paused", "1 while this worker takes no new records.")
BREAKER_OPEN = Gauge("sightstream_worker_breaker_open", "1 while a dependency is held to be down.", ["dependency"])
COMMITS = Counter("sightstream_worker_commits", "Transactions by how they ended.", ["outcome"])
COMMIT_SECONDS = Histogram("sightstream_worker_commit_seconds", "Duration of one transaction.", buckets=_SECONDS)
REBALANCES = Counter("sightstream_worker_rebalances", "Assignments, revocations, losses.", ["event"])

# --- pipeline ---------------------------------------------------------------------------------------------
STAGE_SECONDS = Histogram("sightstream_stage_seconds", "Time of one image in one stage.", ["stage"], buckets=_SECONDS)
TOKENS = Counter("sightstream_engine_tokens", "Tokens of answered requests.", ["kind"])
ENGINE_RESTARTS = Counter("sightstream_engine_restarts", "Engine processes started after a death or a hang.")
DECODER_RESTARTS = Counter("sightstream_decoder_restarts", "Decode processes started after a death or a hang.")

# --- store ------------------------------------------------------------------------------------------------
STORE_ROWS = Counter("sightstream_store_rows", "Records written to the results database.", ["table"])
STORE_WRITE_SECONDS = Histogram("sightstream_store_write_seconds", "Duration of one batch's write.", buckets=_SECONDS)
STORE_PARTITIONS = Gauge("sightstream_store_partitions", "Partitions assigned to this store.")
STORE_RESETS = Counter(
    "sightstream_store_resets", "Partitions whose stored position was gone on the broker.", ["cause"]
)
