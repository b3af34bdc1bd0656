"""`sightstream schemas`: writes the published documents of the wire, or checks that they are up to date."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sightstream.infra.errors import CommandError

app = typer.Typer(help="Write or check the JSON Schema and AsyncAPI documents.", no_args_is_help=True)

FolderOption = Annotated[Path | None, typer.Option(help="Folder of the documents; the package's own by default.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def write(folder: FolderOption = None) -> None:
    """Write every document from the models."""
    from sightstream.schemas.wire import published_schemas

    for path in published_schemas.write(folder or published_schemas.FOLDER):
        print(path)


@app.command()
def check(folder: FolderOption = None, as_json: JsonOption = False) -> None:
    """Check the documents against the models; exits 1 and names those that differ."""
    from sightstream.schemas.wire import published_schemas

    stale = published_schemas.stale_files(folder or published_schemas.FOLDER)
    if as_json:
        print(json.dumps({"drifted": stale}))
        raise typer.Exit(1 if stale else 0)
    if stale:
        raise CommandError(f"out of date: {', '.join(stale)}; run `sightstream schemas write`")
    print("the published documents are up to date")
