"""The parent's side of one attempt to read a batch: a child process, and a thread that reads what it reports."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
from typing import Protocol

from pydantic import SecretStr

from sightstream.consumers.worker.unreadable.reports import (
    MAX_LINE_BYTES,
    MEMORY_BYTES,
    BadReport,
    BatchDone,
    BatchFound,
    Order,
    ReadFailed,
    Report,
    parse_report,
)
from sightstream.pipeline.child_environment import LOADER, module_environment
from sightstream.schemas.connections.kafka import KafkaSettings

# Few: a report can hold 2 MB. The child waits meanwhile.
MAX_WAITING_REPORTS = 8
# How a process ends for which memory can't be allocated. SIGKILL is not among them: it says nothing about the batch.
_DEATHS_BY_BATCH = (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGILL)


class BatchReader(Protocol):
    """One attempt. The last report is BatchDone or ReadFailed."""

    def poll(self) -> Report | None:
        """Return the next report, None when there is none yet. Does not block."""
        ...

    def close(self) -> None:
        """End the attempt. Does not block."""
        ...


class ChildReader:
    """Runs the attempt in a process of its own, over a connection of its own."""

    def __init__(
        self, kafka: KafkaSettings, topic: str, partition: int, offset: int, memory_bytes: int = MEMORY_BYTES
    ) -> None:
        """Start the process. Raises OSError."""
        self._reports: queue.Queue[Report] = queue.Queue(MAX_WAITING_REPORTS)
        self._closed = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sightstream.consumers.worker.unreadable.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=module_environment((*LOADER, "PATH")),
        )
        order = Order(kafka=_plain(kafka), topic=topic, partition=partition, offset=offset, memory_bytes=memory_bytes)
        threading.Thread(target=self._run, args=(order,), name="batch-reader", daemon=True).start()

    def poll(self) -> Report | None:
        try:
            return self._reports.get_nowait()
        except queue.Empty:
            return None

    def close(self) -> None:
        self._closed.set()
        self._process.kill()

    def _run(self, order: Order) -> None:
        """Pass the reports on until the child ends, and say how it ended unless it has said so itself."""
        assert self._process.stdin is not None  # noqa: S101
        assert self._process.stdout is not None  # noqa: S101
        last: Report | None = None
        decoding = False
        try:
            self._process.stdin.write(order.model_dump_json().encode() + b"\n")
            self._process.stdin.flush()
            while line := self._process.stdout.readline(MAX_LINE_BYTES):
                last = parse_report(line)
                decoding = decoding or isinstance(last, BatchFound)
                self._put(last)
        except (OSError, BadReport) as error:
            self._process.kill()
            self._put(ReadFailed(failure="unavailable", detail=f"the reader broke off: {error}"))
            last = BatchDone(end=0)
        code = self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
        if not isinstance(last, BatchDone | ReadFailed):
            self._put(_death(code, decoding))

    def _put(self, report: Report) -> None:
        while not self._closed.is_set():
            try:
                return self._reports.put(report, timeout=1)
            except queue.Full:
                continue


def _death(code: int, decoding: bool) -> ReadFailed:
    """Return what a child's end says. One that died on the batch itself may have needed too much memory."""
    by_batch = decoding and code in _DEATHS_BY_BATCH
    return ReadFailed(failure="undecodable" if by_batch else "unavailable", detail=f"the reader ended with {code}")


def _plain(kafka: KafkaSettings) -> dict[str, str | None]:
    return {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in kafka
        if value is None or isinstance(value, str | SecretStr)
    }
