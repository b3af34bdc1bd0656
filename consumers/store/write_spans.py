"""Records a span for each traced row that was written, below the span that its record came from."""

from __future__ import annotations

from sightstream.consumers.store.batch import Batch
from sightstream.schemas.connections.spans import Span, Spans


def record_writes(spans: Spans, batch: Batch, start_ns: int, end_ns: int) -> None:
    """Record the write of a batch, once for each of its rows that belongs to a recorded trace."""
    for row, parent in zip(batch.rows, batch.traces, strict=True):
        if parent is not None and parent.is_sampled:
            attributes = {"db.system.name": "sqlite", "db.collection.name": row.table}
            spans.record(Span("store", spans.child_of(parent), parent, start_ns, end_ns, "consumer", attributes))
