"""Moves the wall clock of chosen processes, as an operator or a time server would: monotonic time goes on.

A small library, compiled from wall_clock.c, is preloaded into them; it moves what Python and librdkafka read, and the
waits that they begin until such a time. A wait that has begun already does not move. Needs a C compiler.
"""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from shutil import which

SOURCE = Path(__file__).with_name("wall_clock.c")


@dataclass(frozen=True, slots=True)
class WallClock:
    """The clock of the processes that are started with `environment`."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> WallClock:
        folder.mkdir(parents=True, exist_ok=True)
        clock = cls(folder)
        command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(clock._library), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True, capture_output=True)
        clock.move(0)
        return clock

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "FAULTS_CLOCK_OFFSET": str(self._offset)}

    def move(self, seconds: int) -> None:
        """Set the clock that much ahead of this machine's."""
        mode = "r+b" if self._offset.exists() else "wb"
        with self._offset.open(mode) as file:
            file.write(struct.pack("l", seconds))

    @property
    def _library(self) -> Path:
        return self.folder / "wall_clock.so"

    @property
    def _offset(self) -> Path:
        return self.folder / "offset"


def is_possible() -> bool:
    """Return whether there is a C compiler."""
    return which("cc") is not None
