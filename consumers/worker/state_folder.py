"""The folder in which a worker keeps its name and its journal, among the temporary ones where all users may write."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sightstream.consumers.private_files import NotPrivate, hold_own_folder, open_private
from sightstream.pipeline.errors import Fatal

_ADVICE = "set SIGHTSTREAM_WORKER_STATE_DIR to a folder of this user"


@dataclass(frozen=True, slots=True)
class StateFolder:
    """A folder of this user alone, held open. Its files are opened relative to it. Methods raise Fatal."""

    path: Path
    descriptor: int

    def open(self, name: str, flags: int) -> int:
        """Open a file of this user alone, created where it is missing; never truncate it."""
        try:
            return open_private(self.path / name, flags, self.descriptor)
        except NotPrivate as error:
            raise Fatal(f"{error}; remove it, or {_ADVICE}") from error

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.descriptor)

    def replace(self, draft: str, name: str) -> None:
        """Give a draft its final name, in place of the file that had it."""
        os.replace(draft, name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)


@contextmanager
def hold_state_folder(parent: Path | None = None) -> Iterator[StateFolder]:
    """Hold this user's folder in `parent`, or among the temporary ones; created where it is missing. Raises Fatal."""
    try:
        folder = (parent or Path(tempfile.gettempdir())) / f"sightstream-{os.getuid()}"
        descriptor = hold_own_folder(folder)
    except FileNotFoundError as error:  # no folder for temporary files at all
        raise Fatal(f"{error.strerror}; {_ADVICE}") from error
    except NotPrivate as error:
        raise Fatal(f"{error}; remove it, or {_ADVICE}") from error
    try:
        yield StateFolder(folder, descriptor)
    finally:
        os.close(descriptor)
