"""The child process: fetches the batch, reports each of its records, and ends. It may die of a hostile batch.

It decompresses bytes that may expand a million times, so its memory is capped far above an honest batch, and the
system ends it before the worker when memory is short.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading

from pydantic import BaseModel

from sightstream.consumers.worker.unreadable.fetch import BatchFetcher, Gone, Unavailable
from sightstream.consumers.worker.unreadable.record_batch import (
    BadBatch,
    BatchHeader,
    Undecodable,
    check_crc,
    decompress,
    read_header,
    read_records,
)
from sightstream.consumers.worker.unreadable.reports import (
    BatchDone,
    BatchFound,
    FailureKind,
    Order,
    ReadFailed,
    record_report,
)
from sightstream.pipeline.child_memory import limit_growth
from sightstream.schemas.connections.kafka import KafkaSettings


def main() -> None:
    """Run the order from the standard input, which the parent keeps open as long as it wants the records."""
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.SIG_IGN)  # they reach the whole group, and the parent handles them
    order = Order.model_validate_json(sys.stdin.buffer.readline())
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    limit_growth(order.memory_bytes)
    failure = asyncio.run(_attempt(order))
    if failure is not None:
        _report(failure)


async def _attempt(order: Order) -> ReadFailed | None:
    try:
        async with BatchFetcher(KafkaSettings.model_validate(order.kafka), order.topic, order.partition) as fetcher:
            await _read(fetcher, order.offset)
    except tuple(_FAILURES) as error:
        kind = next(kind for failure, kind in _FAILURES.items() if isinstance(error, failure))
        return ReadFailed(failure=kind, detail=f"{type(error).__name__}: {error}"[:500])
    return None


# The first that fits counts.
_FAILURES: dict[type[Exception], FailureKind] = {
    Undecodable: "undecodable",
    MemoryError: "undecodable",
    BadBatch: "corrupt",
    Gone: "gone",
    Unavailable: "unavailable",
}


async def _read(fetcher: BatchFetcher, offset: int) -> None:
    """Report the first batch that has something to deliver, or the end of the log."""
    while True:
        fetched = await fetcher.fetch(offset)
        if not fetched.batch:
            return _report(BatchDone(end=offset))
        check_crc(fetched.batch)
        header = read_header(fetched.batch)
        if not header.is_control and not fetched.is_aborted(header):
            return _report_batch(fetched.batch, header, offset)
        offset = header.end


def _report_batch(batch: bytes, header: BatchHeader, offset: int) -> None:
    _report(BatchFound(base=header.base, end=header.end, count=header.count))
    for record in read_records(decompress(batch, header.codec), header):
        if record.offset >= offset:
            _report(record_report(record))
    _report(BatchDone(end=header.end))


def _report(report: BaseModel) -> None:
    """Write one line; waits while the parent has no capacity for more."""
    sys.stdout.buffer.write(report.model_dump_json().encode() + b"\n")
    sys.stdout.buffer.flush()


def _exit_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main()
