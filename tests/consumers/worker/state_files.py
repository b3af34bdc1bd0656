"""Opens a worker's files in a folder of the test."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from sightstream.consumers.worker.journal import Journal
from sightstream.consumers.worker.state_folder import StateFolder


@cache
def state_folder(path: Path) -> StateFolder:
    return StateFolder(path, os.open(path, os.O_RDONLY))


def journal_at(path: Path, topic_id: str = "T") -> Journal:
    return Journal(state_folder(path.parent), path.name, topic_id)
