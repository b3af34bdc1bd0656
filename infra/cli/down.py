"""`sightstream down`: end what `sightstream up` left running."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def down(
    folder: Annotated[Path, typer.Option("--dir", help="The folder given to `up`.")] = Path(".sightstream"),
) -> None:
    """Stop the runtime that owns the folder and wait until all of it is gone; the data stays."""
    from sightstream.infra.runtime.detached import stop_owner

    stopped = stop_owner(folder)
    print(f"Stopped the runtime in {folder}." if stopped else f"Nothing runs in {folder}.")
