"""The fuzzer of HTTP answers: it finds nothing in a few, and would see what it looks for."""

from __future__ import annotations

import queue
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from sightstream.infra.lab.fuzz import http_answers
from sightstream.infra.lab.fuzz.http_answers import OK, SEEDS, answer, other_reading, read, run


def report(first: int, end: int) -> Any:
    results: queue.SimpleQueue[Any] = queue.SimpleQueue()
    run(first, end, SimpleNamespace(value=0), results)
    return results.get()


def test_a_few_answers_end_as_they_should() -> None:
    outcomes, problems = report(0, 300)
    assert problems == []
    assert outcomes["read"] > 10
    assert outcomes.total() == 300


def test_an_answer_follows_from_its_number() -> None:
    assert [answer(number) for number in range(20)] == [answer(number) for number in range(20)]


def test_both_readers_read_what_is_valid() -> None:
    for seed in SEEDS[:3]:
        assert read(seed, Random(1))[1] == other_reading(seed) != None  # noqa: E711
    assert other_reading(OK + b"Content-Length: 5 \r\n\r\nhello ") == b"hello"


def test_each_problem_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_answers, "other_reading", lambda data: b"another")
    assert all("reads another body" in problem for problem in report(0, 20)[1])
    monkeypatch.setattr(http_answers, "CPU_LIMIT_S", 0)
    assert any("processor time" in problem for problem in report(0, 1)[1])
    monkeypatch.setattr(http_answers, "read", lambda data, rng: 1 // 0)
    assert any("ZeroDivisionError" in problem for problem in report(0, 1)[1])


def test_a_child_that_dies_is_counted_and_the_rest_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    class Context:
        Value = staticmethod(lambda kind, first: SimpleNamespace(value=first))
        SimpleQueue = queue.SimpleQueue

        class Process:
            def __init__(self, target: Any, args: Any) -> None:
                self.args, self.exitcode = args, 0

            def start(self) -> None:
                first, end, at, results = self.args
                if first <= 10**9 + 5 < end:
                    at.value, self.exitcode = 10**9 + 5, -11
                else:
                    run(first, end, at, results)

            def join(self) -> None:
                pass

    monkeypatch.setattr("multiprocessing.get_context", lambda kind: Context)
    found = http_answers.fuzz(1, 10)
    assert found["outcomes"]["death"] == 1
    assert found["problems"] == [f"{10**9 + 5}: the child died with -11"]


def test_the_socket_of_a_recorded_answer_ends() -> None:
    assert read(b"", Random(1)) == ("no answer", None)
