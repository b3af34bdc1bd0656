"""Threads under batch scheduling, and the thread that started them, which stays as it was."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sightstream.pipeline.batch_scheduling import use_batch_scheduling


def test_it_covers_the_calling_thread_and_the_threads_that_it_starts() -> None:
    schedulers: dict[str, int] = {}

    def record(name: str) -> None:
        schedulers[name] = os.sched_getscheduler(0)

    def run() -> None:
        use_batch_scheduling()
        record("caller")
        started = threading.Thread(target=record, args=("started by it",))
        started.start()
        started.join()

    record("this one before")
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    record("this one")
    assert (schedulers["caller"], schedulers["started by it"]) == (os.SCHED_BATCH, os.SCHED_BATCH)
    assert schedulers["this one"] == schedulers["this one before"]


def test_a_system_without_it_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "SCHED_BATCH")
    use_batch_scheduling()


def test_a_system_that_forbids_it_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", forbid)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(use_batch_scheduling).result()
