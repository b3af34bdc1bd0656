"""Runs sightstream and kills it at the end of the first database transaction that moves a read position.

python -m tests.faults.dying_store [ARGUMENTS OF SIGHTSTREAM]
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from functools import partial
from types import TracebackType
from typing import Any


class DyingConnection(sqlite3.Connection):
    """Kills the process right after it has written a position for good."""

    has_moved = False

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        self.has_moved |= "INTO positions" in sql
        return super().execute(sql, *parameters)

    def executemany(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        self.has_moved |= "INTO positions" in sql
        return super().executemany(sql, *parameters)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        super().__exit__(kind, error, trace)
        if self.has_moved:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    vars(sqlite3)["connect"] = partial(sqlite3.connect, factory=DyingConnection)
    sys.argv[0] = "sightstream"

    from sightstream.infra.cli.app import main

    main()
