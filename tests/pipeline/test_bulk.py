"""Bulk work waits its turn; what started it does not."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sightstream.pipeline import bulk
from sightstream.pipeline.bulk import work_in_bulk


def test_the_thread_that_calls_it_and_those_that_it_starts() -> None:
    found: dict[str, int] = {}

    def look(name: str) -> None:
        found[name] = os.sched_getscheduler(0)

    def work() -> None:
        work_in_bulk()
        look("caller")
        started = threading.Thread(target=look, args=("started by it",))
        started.start()
        started.join()

    look("this one before")
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    look("this one")
    assert (found["caller"], found["started by it"]) == (os.SCHED_BATCH, os.SCHED_BATCH)
    assert found["this one"] == found["this one before"]


def test_a_system_that_knows_no_such_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(bulk.os, "SCHED_BATCH")
    work_in_bulk()


def test_a_system_that_forbids_it_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(bulk.os, "sched_setscheduler", refuse)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work_in_bulk).result()
