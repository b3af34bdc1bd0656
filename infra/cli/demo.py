"""`sightstream demo`: the whole pipeline on this machine, with a worker killed half-way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    directory: Annotated[Path, typer.Option("--dir", help="Data and logs; emptied at the start of a run.")] = Path(
        ".sightstream/demo"
    ),
    images: Annotated[int, typer.Option(min=10, max=100_000, help="Pictures, the broken ones not counted.")] = 200,
    seed: Annotated[int, typer.Option(help="Another seed draws other pictures.")] = 2026,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The report as one JSON object on standard output.")] = False,
) -> None:
    """Draw pictures, put them through Kafka and S3, kill a worker, and check the books. Exit code 0: they hold."""
    import json

    from rich.console import Console

    from sightstream.infra.lab.demo.run import DemoOptions, run_demo

    report = run_demo(DemoOptions(directory, images, seed, keep), Console(stderr=as_json))
    if as_json:
        typer.echo(json.dumps(report))
    raise typer.Exit(1 if report["problems"] else 0)
