"""What ran when: overlapping work counts once, and a file that a kill cut short is read up to there."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from sightstream.infra.lab.bench.system.activity import (
    SUFFIX,
    ActivityLog,
    Interval,
    busy_seconds,
    idle_gaps,
    read_activity,
)
from sightstream.infra.lab.bench.system.recorded_engine import DeviceStopwatch, HostStopwatch, _measure, _note_hits

WORK = [Interval("prefill", 1, 4), Interval("look", 1, 3), Interval("step", 3, 5), Interval("step", 7, 8)]


def test_overlapping_work_counts_once() -> None:
    assert busy_seconds(WORK, 0, 10) == 5
    assert busy_seconds(WORK, 2, 7.5) == 3.5
    assert busy_seconds([], 0, 10) == 0


def test_the_times_without_work_are_what_is_left() -> None:
    assert idle_gaps(WORK, 0, 10) == [2, 2, 1]
    assert idle_gaps(WORK, 2, 7.5) == [2]
    assert idle_gaps([], 0, 10) == [10]


def test_a_log_is_read_back_up_to_where_a_kill_cut_it(tmp_path: Path) -> None:
    file = tmp_path / f"7{SUFFIX}"
    log = ActivityLog(file)
    for interval in reversed(WORK):
        log.add(interval)
    file.write_bytes(file.read_bytes()[:-1])
    assert read_activity(tmp_path) == sorted(WORK[1:], key=lambda interval: interval.start)


class Part:
    """Stands for a part of the engine."""

    def run(self, number: int) -> int:
        return number + 1

    def get(self, key: str) -> str | None:
        return key or None


def test_measured_parts_do_what_they_did_and_write_it_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("run", "get"):
        monkeypatch.setattr(Part, name, getattr(Part, name))  # so that it is as before in the end
    before, log = time.monotonic(), ActivityLog(tmp_path / f"1{SUFFIX}")
    _measure(Part, "run", "look", HostStopwatch(log))
    _note_hits(Part, log)
    assert (Part().run(4), Part().get("known"), Part().get("")) == (5, "known", None)
    look, hit = read_activity(tmp_path)
    assert (look.kind, hit.kind) == ("look", "encoder_cache_hit")
    assert before <= look.start <= look.end <= time.monotonic()


class Event:
    """Stands for a CUDA event: the n-th one is recorded at n x 100 ms of the device's time."""

    count = 0

    def __init__(self, *, enable_timing: bool) -> None:
        assert enable_timing
        Event.count += 1
        self.at_ms = 100.0 * Event.count

    def record(self) -> None: ...
    def synchronize(self) -> None: ...

    def query(self) -> bool:
        return True

    def elapsed_time(self, later: Event) -> float:
        return later.at_ms - self.at_ms


def test_events_of_a_gpu_become_moments_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = SimpleNamespace(cuda=SimpleNamespace(Event=Event, synchronize=lambda: None))
    monkeypatch.setitem(sys.modules, "torch", torch)
    before = time.monotonic()
    stopwatch = DeviceStopwatch(ActivityLog(tmp_path / f"1{SUFFIX}"))
    after = time.monotonic()
    with stopwatch.measured("prefill"), stopwatch.measured("look"):
        pass
    stopwatch.drain()
    prefill, look = read_activity(tmp_path)
    assert (prefill.kind, look.kind) == ("prefill", "look")
    for interval, start_s, end_s in ((prefill, 0.1, 0.4), (look, 0.2, 0.3)):
        assert before + start_s <= interval.start <= after + start_s
        assert interval.end - interval.start == pytest.approx(end_s - start_s)
