"""The command line's entry point: `sightstream VERB`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from sightstream.infra.cli import (
    ask,
    bench,
    dead_letters,
    demo,
    doctor,
    down,
    lag,
    lookup,
    publish,
    results,
    schemas,
    store,
    task,
    trace,
    up,
    worker,
)
from sightstream.infra.cli import config as config_command
from sightstream.infra.errors import CommandError, explain_kafka_error, explain_os_error, extra_of

app = typer.Typer(
    name="sightstream",
    help="Ask a vision-language model about millions of images: Kafka in, one structured answer per event out.",
    no_args_is_help=True,
    rich_markup_mode=None,  # rich's help renderer alone costs 0.2 s at every start
    pretty_exceptions_show_locals=False,  # locals can hold secrets
    add_completion=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib import metadata

        try:
            print(f"sightstream {metadata.version('sightstream')}")
        except metadata.PackageNotFoundError:
            print("sightstream (a checkout that is not installed)")
        raise typer.Exit


@app.callback()
def read_config(
    config: Annotated[
        Path | None, typer.Option("--config", envvar="SIGHTSTREAM_CONFIG", help="TOML file with settings.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if config is not None:
        os.environ["SIGHTSTREAM_CONFIG"] = str(config.resolve())  # child processes read the same file


app.command()(up.up)
app.command()(down.down)
app.command()(doctor.doctor)
app.command()(worker.worker)
app.command("analyze", hidden=True)(worker.worker)  # the verb's earlier name
app.command()(ask.ask)
app.command()(demo.demo)
app.command()(publish.publish)
app.add_typer(task.app, name="task")
app.add_typer(schemas.app, name="schemas")
app.add_typer(config_command.app, name="config")
app.add_typer(bench.app, name="bench")
app.command()(store.store)
app.command()(results.results)
app.command()(trace.trace)
app.add_typer(dead_letters.app, name="dead-letters")
app.command()(lag.lag)
app.command()(lookup.lookup)


def main() -> None:
    """Run a verb.

    Exit codes: 0 done, 1 the work failed, 2 wrong use or wrong settings, 3 no lookup server answers,
    130 interrupted.
    """
    try:
        app()
    except CommandError as error:
        print(f"sightstream: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except ModuleNotFoundError as error:
        if (extra := extra_of(error.name)) is None:
            raise
        print(f'sightstream: this needs the package {error.name}: pip install "sightstream[{extra}]"', file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:  # a path, a port or the machine, each named by the settings or by an option
        print(f"sightstream: {explain_os_error(error)}", file=sys.stderr)
        raise SystemExit(1) from None
    except Exception as error:
        if (problem := explain_kafka_error(error)) is None:
            raise
        print(f"sightstream: {problem}", file=sys.stderr)
        raise SystemExit(1) from None
