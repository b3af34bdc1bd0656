"""Shows the progress of `sightstream publish`: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightstream.producers.progress import Progress

LINE_EVERY_S = 5.0


class Display:
    """Prints plain lines on stderr. It is a context manager, and the base of the bar."""

    def __init__(self, size: int | None) -> None:
        from sightstream.producers.progress import Progress

        self.size = size
        self.before = Progress()
        self.progress = Progress()
        self._next_line = 0.0

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def on_resume(self, progress: Progress) -> None:
        self.before = self.progress = progress
        self._next_line = time.monotonic() + LINE_EVERY_S
        if progress.position:
            self.say(f"continuing after {progress.position} entries of an earlier run")

    def on_read(self, size: int) -> None:
        """Ignore bytes, which only the bar shows."""

    def on_bad_item(self, problem: str) -> None:
        from sightstream.schemas.wire.dead_letter import printable

        self.say(printable(problem))

    def on_commit(self, progress: Progress) -> None:
        self.progress = progress
        if time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + LINE_EVERY_S
            self.say(self.summary())

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def summary(self) -> str:
        now, before = self.progress, self.before
        earlier = f" ({before.delivered} of them by an earlier run)" if before.delivered else ""
        return f"{now.delivered} delivered{earlier}, {now.failed} failed"


class Bar(Display):
    """A bar for terminals: shows bytes where the source knows its length, else a pulse beside the counts."""

    def __init__(self, size: int | None) -> None:
        super().__init__(size)
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), TimeRemainingColumn())
        self._bar: Any = Progress(*columns, console=Console(stderr=True))
        self._task = self._bar.add_task("connecting", total=size)

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def on_read(self, size: int) -> None:
        self._bar.advance(self._task, size)

    def on_commit(self, progress: Progress) -> None:
        self.progress = progress
        self._bar.update(self._task, description=self.summary())

    def say(self, text: str) -> None:
        self._bar.console.print(text, markup=False, highlight=False)


def choose_display(size: int | None, *, plain: bool) -> Display:
    return Display(size) if plain else Bar(size)
