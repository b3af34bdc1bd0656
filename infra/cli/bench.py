"""`sightstream bench`: what this machine does, measured, with the method beside every figure."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from sightstream.infra.lab.bench.feed.contestants import Contestant
    from sightstream.pipeline.engine.settings import EngineSettings

app = typer.Typer(help="Measure this machine.", no_args_is_help=True)


@app.callback()
def _bench() -> None:
    """Each kind of measurement is a command of its own."""


@app.command()
def engine(
    *,
    parts: Annotated[
        str | None, typer.Option(help="Only these, separated by commas; --list names them, none is none.")
    ] = None,
    list_parts: Annotated[bool, typer.Option("--list", help="Say what can be measured, and stop.")] = False,
    json_to: Annotated[
        Path | None, typer.Option("--json", help="Write JSON here after every part; - is standard output, at the end.")
    ] = None,
    model: Annotated[
        Literal["auto", "checkpoint", "demo", "random-11b", "random-small"],
        typer.Option(help="auto: the checkpoint if one is set, else random-11b on a GPU, the demo model on a CPU."),
    ] = "auto",
    checkpoint: Annotated[Path | None, typer.Option(help="Folder of an Mllama checkpoint.")] = None,
    kind: Annotated[
        Literal["slots", "generate", "simulated"], typer.Option("--engine", help="What is measured beside stock.")
    ] = "slots",
    quantization: Annotated[Literal["none", "nf4", "int8"] | None, typer.Option()] = None,
    cross_kv: Annotated[Literal["full", "fp8"] | None, typer.Option()] = None,
    memory_gib: Annotated[float | None, typer.Option(help="Bound on the GPU memory that the engine uses.")] = None,
    earlier: Annotated[
        list[Path] | None,
        typer.Option("--with", help="Take over from an earlier run's JSON what this one does not measure."),
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE of the engine's, such as max_batch=64; may be repeated.")
    ] = None,
    size: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, such as tokens=64 or stock_batches=32,48; may be repeated.")
    ] = None,
    budget: Annotated[
        str, typer.Option(help="Seconds a part, such as 120 or 120,slots=200; set-up not counted.")
    ] = "180",
) -> None:
    """Measure the tutorial's loop, the best stock batch and the slot engine. Exit code 1: a part failed.

    Each part's figures come with their method; a process that dies costs only the part that it was at.
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
    sizes_for("cpu", sizes)  # a misspelt one is told before anything is loaded
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
    images: Annotated[int, typer.Option(min=100, help="Requests for each contestant.")] = 2000,
    distinct: Annotated[int, typer.Option(min=1, help="Different pictures in the store.")] = 200,
    side: Annotated[int, typer.Option(min=16, help="Pixels of a picture's side.")] = 1000,
    rounds: Annotated[int, typer.Option(min=1, help="Medians are taken over so many.")] = 1,
    only: Annotated[str | None, typer.Option(help="Only these contestants, separated by commas.")] = None,
    list_contestants: Annotated[bool, typer.Option("--list", help="Say who takes part, and stop.")] = False,
    json_to: Annotated[Path | None, typer.Option("--json", help="Write JSON here; - is standard output.")] = None,
) -> None:
    """Feed a model that costs nothing: the worker beside a plain loop and stream libraries. Exit code 1: one failed.

    On a Kafka and an S3 of its own. The first run downloads the peers into an environment of their own.
    """
    import json

    from sightstream.infra.lab.bench.feed.contestants import CONTESTANTS
    from sightstream.infra.lab.bench.feed.options import FeedOptions
    from sightstream.infra.lab.bench.feed.report import as_table, document, method_lines
    from sightstream.infra.lab.bench.feed.run import compare

    if list_contestants:
        for contestant in CONTESTANTS:
            print(f"{contestant.name:18} {contestant.promise:14} {contestant.about}")
        return
    options = FeedOptions(images=images, distinct=min(distinct, images), side=side, rounds=rounds)
    console = _console(stderr=True)
    comparison = compare(options, _chosen(only), lambda text: console.print(text, markup=False))
    to_stdout = json_to == Path("-")
    if to_stdout:
        _print_json(document(comparison))
    elif json_to is not None:
        json_to.write_text(json.dumps(document(comparison), indent=1) + "\n", encoding="utf-8")
    out = console if to_stdout else _console(stderr=False)
    out.print(as_table(comparison))
    for line in method_lines(comparison):
        out.print(line, markup=False)
    raise typer.Exit(1 if comparison.failures else 0)


def _chosen(only: str | None) -> list[Contestant]:
    from sightstream.infra.errors import CommandError
    from sightstream.infra.lab.bench.feed.contestants import CONTESTANTS

    wanted = [name.strip() for name in (only or "").split(",") if name.strip()]
    unknown = sorted(set(wanted) - {contestant.name for contestant in CONTESTANTS})
    if unknown:
        raise CommandError(f"--only: {unknown} do not take part; --list names those that do")
    return [contestant for contestant in CONTESTANTS if not wanted or contestant.name in wanted]


def _settings(given: Mapping[str, object]) -> EngineSettings:
    """The engine's settings as a worker would read them, and over them what the command line says.

    Sections are not guided unless asked for: answers are to be as long as they are asked to be.
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
    """As wide as the terminal; wide enough for the table where there is none."""
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=160)


def _pairs(option: str, given: list[str] | None) -> dict[str, Any]:
    from sightstream.infra.errors import CommandError

    pairs = [text.partition("=") for text in given or []]
    wrong = [name for name, sign, value in pairs if not sign or not value]
    if wrong:
        raise CommandError(f"{option} wants NAME=VALUE, not {wrong}")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _print_json(document: object) -> None:
    import json

    print(json.dumps(document))


def main() -> None:
    """`bench engine` alone, for machines without the console script."""
    from sightstream.infra.errors import CommandError

    command = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_show_locals=False)
    command.command()(engine)
    try:
        command()
    except CommandError as error:
        print(f"sightstream bench engine: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
