"""`sightstream down`: stops what `sightstream up --detach` left running."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def down(
    folder: Annotated[Path, typer.Option("--dir", help="The folder that was given to `up`.")] = Path(".sightstream"),
) -> None:
    """Stop the Kafka and S3 of a folder and wait until all their processes have ended; their data stays."""
    from sightstream.infra.runtime.detached import stop_owner

    stopped = stop_owner(folder)
    print(f"Stopped the runtime in {folder}." if stopped else f"Nothing runs in {folder}.")
