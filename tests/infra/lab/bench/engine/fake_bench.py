"""A bench for the runner's tests: parts that succeed, fail, die and hang. Imported where they run."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from sightstream.infra.lab.bench.engine.figures import Figure, Measured
from sightstream.infra.lab.bench.engine.options import Allowance, BenchOptions
from sightstream.infra.lab.bench.engine.parts import Part

HERE = "tests.infra.lab.bench.engine.fake_bench"


class FakeBench:
    def __init__(self, options: BenchOptions, say: Callable[[str], None]) -> None:
        self.options, self.say, self.clock = options, say, time.monotonic
        self.made = 0

    @property
    def good(self) -> int:
        self.made += 1
        return self.made

    @property
    def broken(self) -> int:
        raise RuntimeError("it can't be made")

    def surroundings(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"tiles": 4, "tokens": 256}, {"device": "fake"}

    def model(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        self.say("closed")


def fine(bench: FakeBench, allowance: Allowance) -> Measured:
    bench.say("working")
    return Measured((Figure("process", os.getpid(), "", "its number"), Figure("made", bench.made, "", "so often")))


def short(bench: FakeBench, allowance: Allowance) -> Measured:
    return Measured((Figure("left", allowance.left_s, "s", "time left at the start"),), cut_short="half of it")


def failing(bench: FakeBench, allowance: Allowance) -> Measured:
    raise ValueError("it went wrong")


def dying(bench: FakeBench, allowance: Allowance) -> Measured:
    os._exit(9)


def hanging(bench: FakeBench, allowance: Allowance) -> Measured:
    threading.Event().wait()
    raise AssertionError("unreachable")


def part(name: str, what: str, group: str = "one", needs: tuple[str, ...] = ("good",)) -> Part:
    return Part(name, group, f"{HERE}:{what}", needs, name)
