"""A whole run: the engine alone, then the same work through Kafka, phase by phase, and the judgement of the topics."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.system.activity import Interval, read_activity
from sightstream.infra.lab.bench.system.card import CardWatch
from sightstream.infra.lab.bench.system.engine_alone import EngineAlone, EngineTask
from sightstream.infra.lab.bench.system.exactly_once import Outcomes, count_uncommitted, judge, read_outcomes
from sightstream.infra.lab.bench.system.figures import PhaseSeen, phase_figures, requests_for
from sightstream.infra.lab.bench.system.options import QUESTION, SystemOptions
from sightstream.infra.lab.bench.system.samples import Sampler, ServerPids
from sightstream.infra.lab.bench.system.watch import OutcomeReader, Seen
from sightstream.infra.lab.bench.system.workers import RunningWorker, run_engine_alone, running_workers
from sightstream.infra.lab.bench.system.workload import Phase, Workload, running_workload

POLL_S = 0.05
SAY_EVERY_S = 10.0
FILES_FOR_ENGINE_ALONE = 256
LINGER_S = 2.0  # for an outcome too many


@dataclass(frozen=True, slots=True)
class Kill:
    """A worker was killed at `at` while it held so many requests; the next outcome came `back_after_s` later."""

    at: float
    held: int
    back_after_s: float


@dataclass(slots=True)
class SystemRun:
    """What a run has found; `computed` counts images that engines looked at, or got where they don't tell."""

    options: SystemOptions
    model: str
    engine: dict[int, EngineAlone] = field(default_factory=dict)
    phases: list[Phase] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    outcomes: Outcomes | None = None
    kill: Kill | None = None
    computed: int = 0
    hits: dict[str, int] = field(default_factory=dict)


def measure(options: SystemOptions, model: str, say: Callable[[str], None]) -> SystemRun:
    """Run everything; blocks for minutes. Raises CommandError when a part fails or a phase takes too long."""
    run = SystemRun(options, model)
    with TemporaryDirectory(prefix="sightstream-bench-") as name:
        folder = Path(name)
        with running_workload(options, folder) as workload:
            say("Kafka runs; measuring the engine alone")
            run.engine = _engine_alone(workload, model, folder)
            for tokens, alone in run.engine.items():
                say(f"engine alone, {tokens} tokens: {alone.images_per_s:.2f} images/s, {alone.slots} slots")
            _Course(workload, run, folder, say).run()
    return run


def _engine_alone(workload: Workload, model: str, folder: Path) -> dict[int, EngineAlone]:
    options, answer, activity = workload.options, folder / "engine-alone.json", folder / "engine-alone"
    activity.mkdir()
    files = tuple(map(str, workload.first_files(FILES_FOR_ENGINE_ALONE if not options.images else options.images)))
    task = EngineTask(model, QUESTION, options.tokens, options.engine_rounds, files, str(activity), str(answer))
    file = folder / "engine-alone-task.json"
    file.write_text(json.dumps(asdict(task)), encoding="utf-8")
    run_engine_alone(workload, file, folder)
    found = json.loads(answer.read_text(encoding="utf-8"))
    return {int(tokens): EngineAlone(**each) for tokens, each in found.items()}


@dataclass(frozen=True, slots=True)
class _Instruments:
    reader: OutcomeReader
    sampler: Sampler
    cards: CardWatch


class _Course:
    """The workers' part of a run."""

    def __init__(self, workload: Workload, run: SystemRun, folder: Path, say: Callable[[str], None]) -> None:
        self._workload, self._run, self._folder, self._say = workload, run, folder, say
        self._options = workload.options

    def run(self) -> None:
        """Publish and work off one phase after the other; then judge the topics."""
        first = self._publish(self._options.tokens[0])  # before the workers start, so that they find work
        reader = OutcomeReader(self._workload.runtime.kafka_settings, self._workload.topics)
        with reader:
            with running_workers(self._workload, self._run.model, self._folder) as workers:
                self._work_off_all(first, workers, reader)
            time.sleep(LINGER_S)
        self._judge(reader.seen)

    def _work_off_all(self, first: Phase, workers: list[RunningWorker], reader: OutcomeReader) -> None:
        with self._instruments(workers, reader) as instruments:
            for number, tokens in enumerate(self._options.tokens):
                phase = first if number == 0 else self._publish(tokens)
                self._work_off(phase, workers, instruments)
            self._note_sharing(instruments)

    def _publish(self, tokens: int) -> Phase:
        options, alone = self._options, self._run.engine[tokens]
        count = options.images or requests_for(
            alone.images_per_s, options.workers, options.warm_up_s + options.seconds, alone.slots
        )
        self._say(f"drawing {count} images and publishing requests for {tokens} tokens")
        phase = self._workload.publish(tokens, count, alone.slots * options.workers)
        self._run.phases.append(phase)
        return phase

    @contextmanager
    def _instruments(self, workers: list[RunningWorker], reader: OutcomeReader) -> Iterator[_Instruments]:
        runtime = self._workload.runtime
        store = runtime.s3.pid if self._options.parts.has_store else None
        watched = [worker.watched for worker in workers]
        servers = ServerPids(runtime.kafka.pid, store)
        answered = lambda: len(reader.seen)  # noqa: E731
        with ExitStack() as stack:
            cards = stack.enter_context(CardWatch())
            sampler = Sampler(watched, servers, runtime.kafka_settings, self._workload.topics, answered)
            yield _Instruments(reader, stack.enter_context(sampler), cards)

    # --- one phase ----------------------------------------------------------------------------------------

    def _work_off(self, phase: Phase, workers: list[RunningWorker], instruments: _Instruments) -> None:
        before = sum(len(each.request_ids) for each in self._run.phases) - len(phase.request_ids)
        goal, deadline, said = before + len(phase.request_ids), time.monotonic() + self._options.timeout_s, 0.0
        kill_at = before + len(phase.request_ids) // 2 if self._options.kill and before == 0 else None
        while instruments.reader.count < goal:
            self._check(workers, deadline)
            if kill_at is not None and instruments.reader.count >= kill_at:
                kill_at = None
                self._kill(workers[0], instruments.reader)
            if time.monotonic() - said > SAY_EVERY_S:
                said = time.monotonic()
                self._say(f"{phase.tokens} tokens: {instruments.reader.count - before} of {goal - before} results")
            time.sleep(POLL_S)
        self._calculate(phase, instruments, before)

    def _check(self, workers: list[RunningWorker], deadline: float) -> None:
        self._workload.runtime.check()
        for worker in workers:
            worker.check()
        if time.monotonic() > deadline:
            raise CommandError(f"no end within {self._options.timeout_s:.0f} s: ask for fewer --images")

    def _kill(self, worker: RunningWorker, reader: OutcomeReader) -> None:
        at, seen = time.monotonic(), reader.count
        held = worker.kill_and_restart()
        self._say(f"killed a worker that held {held} requests")
        seen = reader.count
        while reader.count == seen and time.monotonic() - at < self._options.timeout_s:
            time.sleep(POLL_S)
        self._run.kill = Kill(at, held, time.monotonic() - at)

    def _calculate(self, phase: Phase, instruments: _Instruments, before: int) -> None:
        outcomes = instruments.reader.seen[before:]
        seen = PhaseSeen(
            tokens=phase.tokens,
            requests=len(phase.request_ids),
            outcomes=outcomes,
            samples=instruments.sampler.samples,
            cards=[each for each in instruments.cards.samples if self._is_ours(each.card)],
            activity=self._activity(),
            slots=self._run.engine[phase.tokens].slots,
            warm_up_s=self._options.warm_up_s,
        )
        figures = phase_figures(seen, self._run.engine[phase.tokens].images_per_s)
        self._run.figures.append(figures)
        self._say(f"{phase.tokens} tokens: {figures['images_per_s']:.2f} images/s")

    def _is_ours(self, card: int) -> bool:
        return not self._options.gpus or card in self._options.gpus

    def _activity(self) -> list[list[Interval]]:
        return [read_activity(self._folder / f"worker-{number}") for number in range(self._options.workers)]

    # --- at the end ---------------------------------------------------------------------------------------

    def _note_sharing(self, instruments: _Instruments) -> None:
        """Note the hits of every cache: one would make the figures those of another workload."""
        time.sleep(LINGER_S)  # for the last sample
        totals = instruments.sampler.samples[-1].totals
        activity = [interval for each in self._activity() for interval in each]
        self._run.computed = sum(interval.kind in ("look", "job") for interval in activity)
        self._run.hits = {
            "result cache": round(totals.get("sightstream_cache_lookups_total", 0)),
            "coalescing": round(totals.get("sightstream_shared_requests_total", 0)),
            "encoder cache": sum(interval.kind == "encoder_cache_hit" for interval in activity),
        }

    def _judge(self, seen: list[Seen]) -> None:
        kafka, topics = self._workload.runtime.kafka_settings, self._workload.topics
        ids = [name for phase in self._run.phases for name in phase.request_ids]
        at_rest = read_outcomes(kafka, topics)
        if sorted(o.request_id for o in at_rest) != sorted(o.request_id for o in seen):
            raise CommandError("a reader that ran all along saw other outcomes than one that came at the end")
        self._run.outcomes = judge(ids, at_rest, count_uncommitted(kafka, topics))
        wanted = {digest for phase in self._run.phases for digest in phase.sha256s}
        images = [o.sha256 for o in at_rest if o.reason is None]
        self._run.hits["same images"] = len(ids) - len(wanted)
        self._run.hits["results of other images"] = sum(digest not in wanted for digest in images)
