"""A part that fails, dies or hangs costs itself alone, and what was measured before it is kept."""

from __future__ import annotations

import pytest

from sightstream.infra.lab.bench.engine.figures import Report
from sightstream.infra.lab.bench.engine.options import BenchOptions, Budgets
from sightstream.infra.lab.bench.engine.parts import Part
from sightstream.infra.lab.bench.engine.runner import Runner
from sightstream.pipeline.engine.settings import EngineSettings
from tests.infra.lab.bench.engine.fake_bench import HERE, part

pytestmark = pytest.mark.slow


class Run:
    """A finished run: the report, how many parts it had each time it was saved, and its progress messages."""

    def __init__(self, *parts: Part, budget_s: float = 60) -> None:
        options = BenchOptions(EngineSettings(kind="simulated"), budgets=Budgets(budget_s))
        self.report = Report({"settings": {}, "sizes": {}})
        self.saved: list[list[str]] = []
        self.said: list[str] = []
        Runner(options, self.report, self._save, self.said.append, f"{HERE}:FakeBench", grace_s=0.5).run(parts)

    def _save(self, report: Report) -> None:
        self.saved.append(list(report.parts))

    def status(self) -> dict[str, str]:
        return {name: part.status for name, part in self.report.parts.items()}

    def process(self, name: str) -> float | None:
        return self.report.value(name, "process")


def test_parts_of_a_group_share_a_process_and_are_saved_one_by_one() -> None:
    run = Run(part("a", "fine"), part("b", "fine"), part("c", "fine", group="two"))
    assert run.status() == {"a": "done", "b": "done", "c": "done"}
    assert run.process("a") == run.process("b") != run.process("c")
    assert run.saved == [["a"], ["a", "b"], ["a", "b", "c"]]
    assert run.said.count("working") == 3
    assert run.report.machine == {"device": "fake"}
    assert run.report.command["sizes"] == {"tiles": 4, "tokens": 256}
    assert not run.report.failed


@pytest.mark.parametrize(
    ("what", "why"),
    [("failing", "ValueError: it went wrong"), ("dying", "its process ended with code 9")],
)
def test_after_a_failure_the_rest_runs_in_a_fresh_process(what: str, why: str) -> None:
    run = Run(part("a", "fine"), part("b", what), part("c", "fine"))
    assert run.status() == {"a": "done", "b": "failed", "c": "done"}
    assert run.report.parts["b"].why == why
    assert run.process("a") != run.process("c")
    assert run.report.failed


def test_a_part_that_hangs_is_ended_after_its_time() -> None:
    run = Run(part("a", "hanging"), part("b", "fine"), budget_s=0.5)
    assert run.status() == {"a": "failed", "b": "done"}
    assert run.report.parts["a"].why == "no end within 1 s; its process was ended"


def test_what_can_not_be_made_is_not_tried_for_every_part() -> None:
    broken = ("broken",)
    run = Run(part("a", "fine", needs=broken), part("b", "fine", needs=broken), part("c", "fine"))
    assert run.status() == {"a": "failed", "b": "not run", "c": "done"}
    assert run.report.parts["a"].why == "RuntimeError: it can't be made"
    assert run.report.parts["b"].why == "as a: RuntimeError: it can't be made"


def test_a_part_that_was_cut_short_says_so_and_is_no_failure() -> None:
    run = Run(part("a", "short"), budget_s=45)
    assert run.report.parts["a"].why == "half of it"
    assert 40 < (run.report.value("a", "left") or 0) <= 45
    assert run.report.missing == ["a: cut short: half of it"]
    assert not run.report.failed
