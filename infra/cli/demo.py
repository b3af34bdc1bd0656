"""`sightstream demo`: runs the whole pipeline on this machine and kills a worker half-way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    directory: Annotated[
        Path, typer.Option("--dir", help="Folder for data and logs; emptied at the start of a run.")
    ] = Path(".sightstream/demo"),
    images: Annotated[int, typer.Option(min=10, max=100_000, help="Number of images, not counting broken ones.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the drawn images.")] = 2026,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
) -> None:
    """Send drawn images through Kafka and S3, kill a worker, and check the counts (needs a checkout).

    Exits 0 if every request has exactly one outcome.
    """
    from sightstream.infra.cli.checkout import require_checkout

    require_checkout("demo")
    import json

    from rich.console import Console

    from sightstream.infra.lab.demo.run import DemoOptions, run_demo

    report = run_demo(DemoOptions(directory, images, seed, keep), Console(stderr=as_json))
    if as_json:
        typer.echo(json.dumps(report))
    raise typer.Exit(1 if report["problems"] else 0)
