"""Names the model that a checkpoint's folder holds."""

from __future__ import annotations

import re
from pathlib import Path

# Folders that are named by what they are, not by the model; a hub's cache names one by its commit.
_GENERIC = re.compile(r"(checkpoints?|models?|weights|snapshots|final|latest|main|[0-9a-f]{40})", re.IGNORECASE)


def model_name(folder: Path) -> str:
    """Return the name of the nearest folder that tells the model, as `owner/name` where a hub's cache wrote it."""
    folder = folder.resolve()
    telling = (each.name for each in (folder, *folder.parents) if each.name and not _GENERIC.fullmatch(each.name))
    name = next(telling, folder.name)
    return name.removeprefix("models--").replace("--", "/") if name.startswith("models--") else name
