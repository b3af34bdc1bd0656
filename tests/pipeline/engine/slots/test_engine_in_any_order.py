"""Checks in any order of calls that jobs end once and correctly, none overtakes another, and all pages are freed."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sightstream.pipeline.decode.tiles import arrangements
from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.slots import engine as engine_module
from sightstream.pipeline.engine.slots.choice_encoder import ChoiceEncoder
from sightstream.pipeline.engine.slots.choice_tree import ChoiceTree
from sightstream.pipeline.engine.slots.engine import SlotEngine
from sightstream.pipeline.errors import Cancelled, PipelineError, Rejected
from sightstream.pipeline.types import Canvas, Completion, EngineJob
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.response_format import SECTIONS_FORMAT, ChoiceFormat, JsonSchemaFormat, ResponseFormat
from tests.pipeline.engine.slots.asking import choice_of, json_of, slot_settings
from tests.pipeline.engine.slots.fake_constraints import FakeGrammars, piece
from tests.pipeline.engine.slots.fake_runner import END, LOGPROB, FakeModelRunner, answer, scores

pytestmark = pytest.mark.slow

QUESTIONS = {"x": False, "What is it? " * 50: False, "word " * 1600: True}  # which are too long
CHOICES = choice_of("red", "red wine", "blue")
JSON = json_of({"type": "string"})
IMAGES = 3  # that several jobs may be about
ARRIVALS = st.tuples(
    st.sampled_from([*QUESTIONS, "x", "x", "x"]),
    st.sampled_from([SECTIONS_FORMAT, SECTIONS_FORMAT, CHOICES, JSON]),
    st.booleans(),  # reasons
    st.none() | st.integers(0, IMAGES - 1),
    st.sampled_from(arrangements(4)),
    st.builds(
        AnalysisOptions,
        max_tokens=st.sampled_from([1, 2, 5, 100, 100, 100, 300, 1500, 4096]),
        temperature=st.sampled_from([0.0, 0.0, 1.0]),
    ),
    st.none() | st.integers(-1, 20),  # seconds to the deadline
)
Arrival = tuple[str, ResponseFormat, bool, int | None, tuple[int, int], AnalysisOptions, int | None]
DRAIN = 2000  # steps: far more than everything needs


class AnyOrder(RuleBasedStateMachine):
    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.checkpoint = checkpoint
        self.now = 1000.0
        self.jobs: dict[int, EngineJob] = {}
        self.outcomes: dict[int, Completion | PipelineError] = {}
        self.cancelled: set[int] = set()  # while they were held
        self.restarted: set[int] = set()

    @initialize(slots=st.integers(1, 12))
    def start(self, slots: int) -> None:
        self.canvases: dict[tuple[int, tuple[int, int]], Canvas] = {}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(engine_module, "ModelRunner", FakeModelRunner)
            patch.setattr(engine_module, "GrammarQueue", FakeGrammars)
            self.engine = SlotEngine(self.checkpoint, slot_settings(max_batch=slots), lambda: None, lambda: self.now)
        self.runner: Any = self.engine._runner
        self.grammars: Any = self.engine._grammars

    @rule(arrivals=st.lists(ARRIVALS, min_size=1, max_size=10))
    def submit(self, arrivals: list[Arrival]) -> None:
        for question, response_format, reasons, image, shape, options, timeout_steps in arrivals:
            number = len(self.jobs)
            deadline = None if timeout_steps is None else self.now + timeout_steps
            canvas = Canvas(b"", *shape, side=128, width=1, height=1 + number, format="PNG")
            if image is not None:
                canvas = self.canvases.setdefault((image, shape), canvas)
            key = None if image is None else f"{image}"
            self.jobs[number] = EngineJob(number, canvas, question, options, key, deadline, response_format, reasons)
            self.engine.submit(self.jobs[number])

    @precondition(lambda self: self.jobs)
    @rule(back=st.integers(0, 12))
    def cancel(self, back: int) -> None:
        """One of the last, which may still be held."""
        number = max(0, len(self.jobs) - 1 - back)
        self.engine.cancel(number)
        if number not in self.outcomes:
            self.cancelled.add(number)

    @rule(count=st.integers(1, 10), quick=st.booleans(), slow=st.booleans())
    def work(self, count: int, quick: bool, slow: bool) -> None:
        self.runner.quick, self.grammars.slow = quick, slow
        for _ in range(count):
            self._step()

    @rule(seconds=st.integers(1, 10))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @precondition(lambda self: self.engine._scheduler.can_restart_smaller)
    @rule(where=st.sampled_from(["prefill", "decode"]))
    def memory_runs_out(self, where: str) -> None:
        self.runner.short_of = where

    @invariant()
    def nobody_is_overtaken(self) -> None:
        if self.jobs:
            first_time = [*dict.fromkeys(number for number in self.runner.prefilled if self._waits_in_line(number))]
            assert first_time == sorted(first_time)

    @invariant()
    def no_more_are_in_work_than_there_are_slots_and_no_block_is_lost(self) -> None:
        if self.jobs:
            scheduler = self.engine._scheduler
            in_work = len(scheduler.held) - len(scheduler.waiting)
            assert in_work <= self.runner.capacity.slots == scheduler.capacity.slots
            scheduler.check_integrity()

    def _waits_in_line(self, number: int) -> bool:
        """JSON waits for its grammar first, and after a restart everything is in another order."""
        return number not in self.restarted and not isinstance(self.jobs[number].response_format, JsonSchemaFormat)

    def teardown(self) -> None:
        self.runner.quick, self.grammars.slow = True, False
        for _ in range(DRAIN):
            if len(self.outcomes) == len(self.jobs):
                break
            self._step()
        assert sorted(self.outcomes) == sorted(self.jobs)
        assert self.engine.finished(0) == []
        capacity, scheduler = self.runner.capacity, self.engine._scheduler
        scheduler.check_integrity()
        assert sorted(scheduler.pages.allocate(len(scheduler.pages))) == [*range(1, capacity.pages)]
        assert sorted(scheduler.tiles.hold(None, len(scheduler.tiles)).pages) == [*range(1, capacity.tiles)]
        assert not self.runner.inputs.packed.any()

    def _step(self) -> None:
        slots = self.runner.capacity.slots
        for finished in self.engine.finished(0):
            assert finished.id not in self.outcomes, "ended twice"
            self.outcomes[finished.id] = finished.outcome
            self._check(self.jobs[finished.id], finished.outcome)
        if self.runner.capacity.slots < slots:
            self.restarted |= set(self.jobs) - set(self.outcomes)

    def _check(self, job: EngineJob, outcome: Completion | PipelineError) -> None:
        late = job.deadline is not None and self.now > job.deadline
        if isinstance(outcome, Completion):
            assert not late
            assert job.id not in self.cancelled
            if isinstance(job.response_format, ChoiceFormat):
                self._check_choice(job, outcome)
            else:
                self._check_text(job, outcome)
        elif isinstance(outcome, Rejected):
            assert late if outcome.reason == Reason.DEADLINE_EXCEEDED else QUESTIONS[job.question]
        else:
            assert isinstance(outcome, Cancelled)
            assert job.id in self.cancelled

    def _check_text(self, job: EngineJob, outcome: Completion) -> None:
        """With reasoning, an answer of JSON says the same again in a second turn."""
        is_json = isinstance(job.response_format, JsonSchemaFormat)
        limit = min(job.options.max_tokens, self._context_left(outcome))
        before = self._said(job, limit // 2) if is_json and job.reasons and limit > 1 else []
        said = self._said(job, limit - len(before))
        ended = "stop" if said[-1] == END else "length"
        tokens = said[:-1] if ended == "stop" else said
        text = b"".join(map(piece, tokens)).decode() if is_json else self._decode(tokens)
        assert (outcome.text, outcome.finish_reason) == (text, ended)
        assert outcome.completion_tokens == len(before) + len(said)
        reasoning = self._decode([token for token in before if token != END])
        assert outcome.reasoning == (reasoning if before else None)
        if is_json and ended == "stop" and text:
            assert outcome.confidence.value == pytest.approx(math.exp(LOGPROB * len(said)))

    def _check_choice(self, job: EngineJob, outcome: Completion) -> None:
        """The scores of the fake model decide; which sentence was written before does not."""
        encode = ChoiceEncoder(self.checkpoint.processor.tokenizer).tokens
        tree = ChoiceTree.of([encode(choice) for choice in CHOICES.choices], self.engine._builder.ends)
        logprobs = tree.logprobs(scores(job.id, len(tree.edges)))
        best = CHOICES.choices[logprobs.index(max(logprobs))]
        assert (outcome.text, outcome.finish_reason, outcome.confidence.kind) == (best, "stop", "exact")
        before = self._said(job, job.options.max_tokens // 2) if job.reasons and job.options.max_tokens > 1 else []
        assert (outcome.reasoning is not None) == bool(before)

    def _said(self, job: EngineJob, limit: int) -> list[int]:
        return answer(job.id)[:limit]

    def _decode(self, tokens: list[int]) -> str:
        text: str = self.checkpoint.processor.tokenizer.decode(tokens, skip_special_tokens=True)
        return text.strip()

    def _context_left(self, outcome: Completion) -> int:
        return 2048 - outcome.prompt_tokens


def test_whatever_comes_in_any_order(checkpoint: Checkpoint) -> None:
    options = settings(deadline=None, max_examples=50, stateful_step_count=25, derandomize=True)
    machine = cast("type[RuleBasedStateMachine]", partial(AnyOrder, checkpoint))  # hypothesis only calls it
    run_state_machine_as_test(machine, settings=options)


def test_a_batch_that_has_all_pages_steps_while_others_are_prefilled(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long token limits: half of the slots take all pages, and no more than that will ever be in use."""
    monkeypatch.setattr(engine_module, "ModelRunner", FakeModelRunner)
    engine = SlotEngine(checkpoint, slot_settings(max_batch=100), lambda: None)
    runner: Any = engine._runner
    runner.quick = False
    canvas = Canvas(bytes(128 * 128 * 3), 1, 1, 128, 128, 128, "PNG")
    for number in range(60):
        engine.submit(EngineJob(number, canvas, "x", AnalysisOptions(max_tokens=480)))
    decode, first = runner.decode, []

    def step(rows: int, *rest: Any) -> Any:
        first.append((rows, len(engine._scheduler.prefilling)))
        return decode(rows, *rest)

    monkeypatch.setattr(runner, "decode", step)
    while not first:
        engine.finished(0)
    rows, prefilling = first[0]
    assert 47 < rows < 50  # of which 50 would take all pages
    assert prefilling
