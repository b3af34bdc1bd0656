"""`sightstream bench`: measures this machine and states the method beside every figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rich.console import Console, RenderableType

    from sightstream.infra.lab.bench.feed.systems import SystemUnderTest
    from sightstream.pipeline.engine.settings import EngineSettings

T = TypeVar("T")

app = typer.Typer(help="Measure this machine (needs a checkout of the repository).", no_args_is_help=True)


@app.callback()
def _bench() -> None:
    """Measure this machine (needs a checkout of the repository)."""
    from sightstream.infra.cli.checkout import require_checkout

    require_checkout("bench")


@app.command()
def engine(
    *,
    parts: Annotated[
        str | None, typer.Option(help="Only these parts, separated by commas; see --list. `none` selects nothing.")
    ] = None,
    list_parts: Annotated[bool, typer.Option("--list", help="List the parts and exit.")] = False,
    json_to: Annotated[
        Path | None,
        typer.Option("--json", help="JSON file to write after every part; - prints it at the end."),
    ] = None,
    model: Annotated[
        Literal["auto", "checkpoint", "demo", "random-11b", "random-small"],
        typer.Option(help="auto: the checkpoint if one is set, else random-11b on a GPU and the demo model on a CPU."),
    ] = "auto",
    checkpoint: Annotated[Path | None, typer.Option(help="Folder of an Mllama checkpoint.")] = None,
    kind: Annotated[
        Literal["slots", "generate", "simulated"],
        typer.Option("--engine", help="Engine to compare with transformers' generate()."),
    ] = "slots",
    quantization: Annotated[
        Literal["none", "nf4", "int8"] | None, typer.Option(help="Precision of the weights; unset: as in [engine].")
    ] = None,
    cross_kv: Annotated[
        Literal["full", "fp8"] | None,
        typer.Option(help="Precision of the image's keys and values; unset: as in [engine]."),
    ] = None,
    memory_gib: Annotated[float | None, typer.Option(help="Limit on the engine's GPU memory, in GiB.")] = None,
    earlier: Annotated[
        list[Path] | None,
        typer.Option("--with", help="JSON of an earlier run; fills in the parts that this run does not measure."),
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option(help="Engine setting, NAME=VALUE, such as max_batch=64; may be repeated.")
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE, such as tokens=64 or stock_batches=32,48; may be repeated."),
    ] = None,
    budget: Annotated[
        str, typer.Option(help="Seconds per part, such as 120 or 120,slots=200; set-up is not counted.")
    ] = "180",
) -> None:
    """Measure the tutorial's loop, the best stock batch and the slot engine. Exits 1 if a part failed.

    Every figure comes with its method. A crash costs only the part that was running.
    """
    from sightstream.infra.lab.bench.engine.options import BenchOptions, read_budgets
    from sightstream.infra.lab.bench.engine.parts import PARTS, chosen
    from sightstream.infra.lab.bench.engine.run import run_bench
    from sightstream.infra.lab.bench.engine.show import as_table, missing_lines
    from sightstream.infra.lab.bench.engine.sizes import sizes_for

    if list_parts:
        for part in PARTS:
            print(f"{part.name:16} {part.about}{'' if part.by_default else ' (only when named)'}")
        return
    wanted = chosen([name.strip() for name in parts.split(",")] if parts else None)
    given = _pairs("--setting", setting) | {
        name: value
        for name, value in (
            ("kind", kind),
            ("checkpoint", checkpoint),
            ("quantization", quantization),
            ("cross_kv", cross_kv),
            ("memory_gib", memory_gib),
        )
        if value is not None
    }
    sizes = _pairs("--size", size)
    sizes_for("cpu", sizes)  # reports a misspelt size before anything is loaded
    options = BenchOptions(_settings(given), model, sizes, read_budgets(budget))
    to_stdout = json_to == Path("-")
    console, out = _console(stderr=True), _console(stderr=to_stdout)
    say = lambda text: console.print(text, markup=False)  # noqa: E731
    report = run_bench(options, wanted, None if to_stdout else json_to, say, earlier or [])
    if to_stdout:
        _print_json(report.document())
    out.print(as_table(report))
    for line in missing_lines(report):
        out.print(line, markup=False)
    raise typer.Exit(1 if report.failed else 0)


@app.command()
def feed(
    *,
    images: Annotated[int, typer.Option(min=100, help="Requests for each system under test.")] = 2000,
    distinct: Annotated[int, typer.Option(min=1, help="Distinct JPEG files in the store.")] = 200,
    side: Annotated[int, typer.Option(min=16, help="Width and height of each file, in pixels.")] = 1000,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the figures are medians over them.")] = 1,
    only: Annotated[str | None, typer.Option(help="Only these systems, separated by commas; see --list.")] = None,
    list_systems: Annotated[bool, typer.Option("--list", help="List the systems under test and exit.")] = False,
    json_to: Annotated[
        Path | None, typer.Option("--json", help="Write JSON to this file; - prints it to standard output.")
    ] = None,
) -> None:
    """Feed a model that costs nothing: our worker beside a plain loop and stream libraries. Exits 1 if one failed.

    Starts its own Kafka and S3. The first run downloads the other systems into an environment of their own.
    """

    from sightstream.infra.lab.bench.feed.options import FeedOptions
    from sightstream.infra.lab.bench.feed.report import as_table, document, method_lines
    from sightstream.infra.lab.bench.feed.run import compare
    from sightstream.infra.lab.bench.feed.systems import SYSTEMS

    if list_systems:
        for system in SYSTEMS:
            print(f"{system.name:22} {system.guarantee:14} {system.about}")
        return
    options = FeedOptions(images=images, distinct=min(distinct, images), side_px=side, rounds=rounds)
    console = _console(stderr=True)
    comparison = compare(options, _select_systems(only), lambda text: console.print(text, markup=False))
    _report(comparison, document, as_table, method_lines(comparison), json_to)
    raise typer.Exit(1 if comparison.failures else 0)


@app.command()
def system(
    *,
    tokens: Annotated[str, typer.Option(help="Tokens of each answer; several, such as 256,48, are phases.")] = "256",
    minutes: Annotated[float, typer.Option(min=0.1, help="Length of each phase after its warm-up.")] = 5,
    warm_up: Annotated[float, typer.Option(min=0, help="Minutes of each phase that do not count.")] = 1,
    images: Annotated[int | None, typer.Option(min=8, help="Requests of each phase; unset, by the minutes.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Workers of the group.")] = 1,
    gpus: Annotated[str | None, typer.Option(help="Numbers of the cards, one for each worker, such as 0,1.")] = None,
    kill: Annotated[bool, typer.Option("--kill", help="Kill a worker in the middle, and start it again.")] = False,
    model: Annotated[
        Literal["auto", "checkpoint", "demo", "random-11b", "random-small"],
        typer.Option(help="As for `bench engine`."),
    ] = "auto",
    mix: Annotated[str, typer.Option(help="Tiles of the images, with weights, such as 1:2,2:1,4:5.")] = "4",
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same images.")] = 0,
    folder: Annotated[Path | None, typer.Option(help="Folder that keeps the images for the next run.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option(help="Engine setting, NAME=VALUE, such as max_batch=64; may be repeated.")
    ] = None,
    java: Annotated[Path | None, typer.Option(help="Java to run Kafka with; unset, as for `sightstream up`.")] = None,
    jars: Annotated[Path | None, typer.Option(help="Folder with Kafka's jars; unset, as for `sightstream up`.")] = None,
    store: Annotated[bool, typer.Option("--store/--no-store", help="Images from S3, or from files.")] = True,
    json_to: Annotated[
        Path | None, typer.Option("--json", help="Write JSON to this file; - prints it to standard output.")
    ] = None,
) -> None:
    """Measure workers on real Kafka and S3 beside the engine alone. Exits 1 unless each request has one outcome.

    Without a GPU it runs the demo's model. A run in which anything was answered from a cache is void.
    """

    from sightstream.infra.lab.bench.system.images import read_mix
    from sightstream.infra.lab.bench.system.model import model_name
    from sightstream.infra.lab.bench.system.options import Parts, SystemOptions
    from sightstream.infra.lab.bench.system.report import as_table, broken, document, lines, void
    from sightstream.infra.lab.bench.system.run import measure

    options = SystemOptions(
        model=model,
        tokens=_numbers("--tokens", tokens),
        seconds=minutes * 60,
        warm_up_s=warm_up * 60,
        images=images,
        workers=workers,
        gpus=_numbers("--gpus", gpus) if gpus else (),
        kill=kill,
        mix=read_mix(mix),
        seed=seed,
        folder=folder,
        settings=_pairs("--setting", setting),
        parts=Parts(java, jars, store),
    )
    _settings(options.settings)  # reports a wrong one before anything starts
    console = _console(stderr=True)
    run = measure(options, model_name(model), lambda text: console.print(text, markup=False))
    _report(run, document, as_table, lines(run), json_to)
    raise typer.Exit(1 if void(run) or broken(run) else 0)


@app.command()
def transactions(
    *,
    results: Annotated[int, typer.Option(min=2000, help="Results of the backlog in each run.")] = 8000,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of both sides; the figures are medians over them.")] = 5,
    json_to: Annotated[
        Path | None, typer.Option("--json", help="Write JSON to this file; - prints it to standard output.")
    ] = None,
) -> None:
    """Measure what exactly once costs: our worker beside itself with plain commits. Exits 1 if a bar is missed.

    Starts its own Kafka. The engine answers at once and the image is small, so that the commits weigh most.
    """

    from sightstream.infra.lab.bench.transactions.options import TransactionsOptions
    from sightstream.infra.lab.bench.transactions.report import as_table, document, method_lines, missed
    from sightstream.infra.lab.bench.transactions.run import compare

    console = _console(stderr=True)
    options = TransactionsOptions(results=results, rounds=rounds)
    comparison = compare(options, lambda text: console.print(text, markup=False))
    _report(comparison, document, as_table, method_lines(comparison), json_to)
    raise typer.Exit(1 if missed(comparison) else 0)


@app.command()
def worker(
    *,
    slots: Annotated[int, typer.Option(min=1, help="Answers that the simulated engine works on at once.")] = 194,
    answer_s: Annotated[float, typer.Option(min=0.1, help="Mean seconds of one of them.")] = 10,
    seconds: Annotated[float, typer.Option(min=1, help="Seconds that count of the backlog.")] = 60,
    json_to: Annotated[
        Path | None, typer.Option("--json", help="Write JSON to this file; - prints it to standard output.")
    ] = None,
) -> None:
    """Measure the worker around a simulated engine: one image alone, full slots, CPU. Exits 1 if a bar is missed.

    Starts its own Kafka and S3. The images are JPEGs of 1120 x 1120 pixels, scaled onto four tiles.
    """

    from sightstream.infra.lab.bench.worker.options import WorkerOptions
    from sightstream.infra.lab.bench.worker.report import as_table, document, missed
    from sightstream.infra.lab.bench.worker.run import measure

    console = _console(stderr=True)
    options = WorkerOptions(slots=slots, answer_s=answer_s, seconds=seconds)
    found = measure(options, lambda text: console.print(text, markup=False))
    _report(found, document, as_table, (), json_to)
    raise typer.Exit(1 if missed(found) else 0)


@app.command()
def lag(
    *,
    points: Annotated[int, typer.Option(min=0, help="Moments at which all is held and compared; 0: none.")] = 50,
    scrapes: Annotated[int, typer.Option(min=0, help="Scrapes of an exporter, 15 s apart; 0: none.")] = 8,
    many: Annotated[int, typer.Option(min=0, help="Partitions of the last part; 0 leaves it out.")] = 10_000,
    json_to: Annotated[
        Path | None, typer.Option("--json", help="Write JSON to this file; - prints it to standard output.")
    ] = None,
) -> None:
    """Measure `sightstream lag`: beside the topics themselves, its CPU, many partitions. Exits 1 if a bar is missed.

    Starts its own Kafka.
    """

    from sightstream.infra.lab.bench.lag.options import LagOptions
    from sightstream.infra.lab.bench.lag.report import as_table, document, missed
    from sightstream.infra.lab.bench.lag.run import measure

    console = _console(stderr=True)
    found = measure(
        LagOptions(points=points, scrapes=scrapes, many=many), lambda text: console.print(text, markup=False)
    )
    _report(found, document, as_table, (), json_to)
    raise typer.Exit(1 if missed(found) else 0)


@app.command()
def neighbours(
    *,
    images: Annotated[int, typer.Option(min=200, help="Honest requests in each case.")] = 1000,
    misspelt: Annotated[int, typer.Option(min=1, help="Requests for a bucket that does not exist.")] = 10_000,
    paced: Annotated[float, typer.Option(min=1, help="Honest requests per second where they are paced.")] = 25,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of all cases; the figures are medians over them.")] = 1,
    baseline: Annotated[
        Path | None, typer.Option(help="Another checkout, whose worker also reads from the far store.")
    ] = None,
    json_to: Annotated[
        Path | None, typer.Option("--json", help="Write JSON to this file; - prints it to standard output.")
    ] = None,
) -> None:
    """Measure what honest images pay beside slow, broken and misspelt ones. Exits 1 if a bar is missed.

    Starts its own Kafka and S3. The engine answers at once.
    """

    from sightstream.infra.lab.bench.neighbours.options import NeighboursOptions
    from sightstream.infra.lab.bench.neighbours.report import as_table, document, missed
    from sightstream.infra.lab.bench.neighbours.run import measure

    console = _console(stderr=True)
    options = NeighboursOptions(
        images=images, misspelt=misspelt, paced_per_s=paced, rounds=rounds, baseline=baseline and baseline.resolve()
    )
    found = measure(options, lambda text: console.print(text, markup=False))
    _report(found, document, as_table, missed(found), json_to)
    raise typer.Exit(1 if missed(found) else 0)


@app.command()
def attacks(
    *,
    images: Annotated[int, typer.Option(min=200, help="Honest requests in each run.")] = 2000,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of one run alone and one beside attacks.")] = 3,
    json_to: Annotated[
        Path | None, typer.Option("--json", help="Write JSON to this file; - prints it to standard output.")
    ] = None,
) -> None:
    """Measure honest images beside slow bodies, floods of framing and scan bombs. Exits 1 if a round misses its bar.

    16, 8 and 6 of them are in flight throughout. Starts its own Kafka and S3. The engine answers at once.
    """

    from sightstream.infra.lab.bench.neighbours.attacks import as_table, document, measure
    from sightstream.infra.lab.bench.neighbours.options import AttacksOptions

    console = _console(stderr=True)
    found = measure(AttacksOptions(images=images, rounds=rounds), lambda text: console.print(text, markup=False))
    _report(found, document, as_table, (), json_to)
    raise typer.Exit(1 if found.missed else 0)


@app.command()
def constraints(
    *,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Folder of a checkpoint; only its tokenizer is read. Unset: the demo model's.")
    ] = None,
    schemas: Annotated[int, typer.Option(min=1, help="Random JSON Schemas.")] = 200,
    answers: Annotated[int, typer.Option(min=1, help="Random answers to each schema.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same schemas and answers.")] = 1,
) -> None:
    """Write random answers under the constraints of random schemas, print JSON, and exit 1 if the check refuses one."""
    from sightstream.infra.lab.bench.constraints.run import load_compiler, walk
    from sightstream.infra.lab.demo_model.export import CHECKPOINT

    report = walk(load_compiler(tokenizer or CHECKPOINT), schemas=schemas, answers=answers, seed=seed)
    _print_json(report.as_json())
    raise typer.Exit(1 if report.refused_answers else 0)


@app.command()
def observability(
    *,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of runs, without and with.")] = 20,
    requests: Annotated[int, typer.Option(min=1, help="Requests of each run.")] = 1000,
    json_to: Annotated[
        Path | None, typer.Option("--json", help="JSON file to write; - prints it on standard output.")
    ] = None,
) -> None:
    """Measure the processor time that metrics and traces cost for a request. Exits 1 if a bar is missed."""
    from sightstream.infra.lab.bench.observability.report import as_table, document
    from sightstream.infra.lab.bench.observability.run import measure

    console = _console(stderr=True)
    found = measure(pairs, requests, lambda text: console.print(text, markup=False))
    _report(found, document, as_table, (), json_to)
    raise typer.Exit(0 if all(cost.is_met for cost in found) else 1)


def _select_systems(only: str | None) -> list[SystemUnderTest]:
    from sightstream.infra.errors import CommandError
    from sightstream.infra.lab.bench.feed.systems import SYSTEMS

    wanted = [name.strip() for name in (only or "").split(",") if name.strip()]
    unknown = sorted(set(wanted) - {system.name for system in SYSTEMS})
    if unknown:
        raise CommandError(f"--only: unknown systems {unknown}; --list names the known ones")
    return [system for system in SYSTEMS if not wanted or system.name in wanted]


def _settings(given: Mapping[str, object]) -> EngineSettings:
    """Return the engine's settings as a worker would read them, overridden by the command line.

    Sections are not guided unless asked for, so that every answer has the requested length.
    """
    from pydantic import ValidationError

    from sightstream.infra.settings import SettingsError, load
    from sightstream.pipeline.engine.settings import EngineSettings

    known = load(EngineSettings).model_dump() | {"guided_sections": False}
    try:
        return EngineSettings.model_validate(known | dict(given))
    except ValidationError as error:
        raise SettingsError("; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors())) from None


def _console(*, stderr: bool) -> Console:
    """Return a console as wide as the terminal, or wide enough for the table where there is none."""
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=160)


def _numbers(option: str, text: str) -> tuple[int, ...]:
    from sightstream.infra.errors import CommandError

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise CommandError(f"{option} needs numbers with commas between them, not {text!r}") from None


def _pairs(option: str, given: list[str] | None) -> dict[str, Any]:
    from sightstream.infra.errors import CommandError

    pairs = [text.partition("=") for text in given or []]
    wrong = [name for name, sign, value in pairs if not sign or not value]
    if wrong:
        raise CommandError(f"{option} needs NAME=VALUE, not {wrong}")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _report(
    measured: T,
    document: Callable[[T], object],
    as_table: Callable[[T], RenderableType],
    lines: Iterable[str],
    json_to: Path | None,
) -> None:
    """Print the table and the lines below it, on standard error where the document goes to standard output."""
    import json

    to_stdout = json_to == Path("-")
    if to_stdout:
        _print_json(document(measured))
    elif json_to is not None:
        json_to.write_text(json.dumps(document(measured), indent=1) + "\n", encoding="utf-8")
    out = _console(stderr=to_stdout)
    out.print(as_table(measured))
    for line in lines:
        out.print(line, markup=False)


def _print_json(document: object) -> None:
    import json

    print(json.dumps(document))
