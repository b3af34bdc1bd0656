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

    def __init__(self, word: str) -> None:
        self.word = word  # for what a redrive does or would do
        self.total = 0
        self.tally: Tally | None = None
        self._next_line = time.monotonic() + LINE_EVERY_S

    def done(self, tally: Tally) -> str:
        from sightstream.consumers.redrive.decision import Decision

        count = tally.count(Decision.REDRIVE)
        return f", {count} {self.word}" if count else ""

    def on_start(self, offsets: int) -> None:
        self.total = offsets

    def on_read(self, tally: Tally) -> None:
        self.tally = tally
        if time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + LINE_EVERY_S
            print(
                f"{tally.reading.records} of {self.total} offsets read{self.done(tally)}", file=sys.stderr, flush=True
            )


class ReadBar(ReadProgress):
    """A bar for terminals."""

    def __init__(self, word: str, bar: Any) -> None:
        super().__init__(word)
        self._bar, self._task = bar, bar.add_task("reading markers", total=None)

    def on_start(self, offsets: int) -> None:
        super().on_start(offsets)
        self._bar.update(self._task, total=offsets, completed=0, description="reading")

    def on_read(self, tally: Tally) -> None:
        self.tally = tally
        self._bar.update(self._task, completed=tally.reading.records, description=f"reading{self.done(tally)}")


@contextmanager
def read_progress(plain: bool, word: str = "") -> Iterator[ReadProgress]:
    """Show progress while the block runs: a bar on a terminal, lines elsewhere."""
    if plain or not sys.stderr.isatty():
        yield ReadProgress(word)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield ReadBar(word, bar)
