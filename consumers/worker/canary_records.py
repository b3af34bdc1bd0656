"""Keeps what the engine answered to its known-good job beside the worker's journal, for its next starts."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

from sightstream.consumers.worker.state_folder import StateFolder
from sightstream.pipeline.engine.known_answer import MAX_FILE_BYTES
from sightstream.pipeline.errors import Fatal

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FolderRecords:
    """One file for each name, whole or not there. What can't be kept is logged: the next start records it anew."""

    folder: StateFolder

    def read(self, name: str) -> str | None:
        try:
            with os.fdopen(self.folder.open(_file(name), os.O_RDONLY), "rb") as file:
                return file.read(MAX_FILE_BYTES).decode() or None
        except (Fatal, OSError, UnicodeDecodeError) as error:
            log.warning("the canary's answer can't be read: %s", error)
            return None

    def write(self, name: str, text: str) -> None:
        draft = f"{_file(name)}.{os.getpid()}"
        try:
            self.folder.remove(draft)
            with os.fdopen(self.folder.open(draft, os.O_WRONLY | os.O_EXCL), "wb") as file:
                file.write(text.encode())
            self.folder.replace(draft, _file(name))
        except (Fatal, OSError) as error:
            log.warning("the canary's answer can't be kept: %s", error)


def _file(name: str) -> str:
    return f"canary-{name}.txt"
