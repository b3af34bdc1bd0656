"""Shows how far a reading of dead letters has come, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightstream.consumers.redrive.tally import Tally

LINE_EVERY_S = 5.0


class ReadProgress:
    """Prints a line on stderr every few seconds; the base of the bar. It keeps the newest tally."""

    def __init__(self) -> None:
        self.total = 0
        self.tally: Tally | None = None
        self._next_line = time.monotonic() + LINE_EVERY_S

    def on_start(self, offsets: int) -> None:
        self.total = offsets

    def on_read(self, tally: Tally) -> None:
        self.tally = tally
        if time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + LINE_EVERY_S
            print(f"{tally.reading.records} of {self.total} offsets read{_done(tally)}", file=sys.stderr, flush=True)


class ReadBar(ReadProgress):
    """A bar for terminals."""

    def __init__(self, bar: Any) -> None:
        super().__init__()
        self._bar, self._task = bar, bar.add_task("reading markers", total=None)

    def on_start(self, offsets: int) -> None:
        super().on_start(offsets)
        self._bar.update(self._task, total=offsets, completed=0, description="reading")

    def on_read(self, tally: Tally) -> None:
        self.tally = tally
        self._bar.update(self._task, completed=tally.reading.records, description=f"reading{_done(tally)}")


@contextmanager
def read_progress(plain: bool) -> Iterator[ReadProgress]:
    """Show progress while the block runs: a bar on a terminal, lines elsewhere."""
    if plain or not sys.stderr.isatty():
        yield ReadProgress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield ReadBar(bar)


def _done(tally: Tally) -> str:
    from sightstream.consumers.redrive.decision import Decision

    redriven = tally.count(Decision.REDRIVE)
    return f", {redriven} redriven" if redriven else ""
