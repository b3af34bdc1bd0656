"""Shows progress, speed, lag, partition owners, dead letters and events on one live screen."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table

from sightstream.consumers.lag.types import GroupLag
from sightstream.infra.lab.demo.watch import OutcomeWatch

LINE_INTERVAL_S = 5.0
LONGEST_ESTIMATE_S = 900.0


@dataclass
class Screen:
    """The demo's screen: live on a terminal, a line every few seconds elsewhere."""

    console: Console
    total: int
    watch: OutcomeWatch
    started: float = field(default_factory=time.monotonic)
    events: list[str] = field(default_factory=list)
    _live: Live | None = None
    _last_line: float = 0.0

    def __enter__(self) -> Screen:
        if self.console.is_terminal:
            self._live = Live(console=self.console, auto_refresh=False, transient=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def add_event(self, event: str) -> None:
        """Add a line about something that happened."""
        self.events.append(f"{time.monotonic() - self.started:5.1f} s  {event}")
        if self._live is None:
            self.console.print(self.events[-1])

    def show(self, lag: GroupLag | None) -> None:
        if self._live is not None:
            self._live.update(Group(*self._panels(lag)), refresh=True)
        elif time.monotonic() - self._last_line > LINE_INTERVAL_S:
            self._last_line = time.monotonic()
            self.console.print(f"{self.watch.outcomes}/{self.total} done, {self._speed()}, {_describe_lag(lag)}")

    def _speed(self) -> str:
        return f"{self.watch.per_second:.1f} images/s"

    def _panels(self, lag: GroupLag | None) -> list[RenderableType]:
        head = Table.grid(padding=(0, 2), expand=True)
        bar = ProgressBar(total=self.total, completed=self.watch.outcomes, width=40)
        head.add_row(bar, f"{self.watch.outcomes}/{self.total}", self._speed(), _describe_lag(lag))
        return [
            Panel(head, title="Sightstream"),
            Panel(_owners(lag), title="partitions by owner (lag)"),
            Panel(_reasons(self.watch), title="dead letters"),
            Panel("\n".join(self.events[-8:]) or " ", title="events"),
        ]


def _describe_lag(lag: GroupLag | None) -> str:
    if lag is None:
        return "lag unknown yet"
    seconds = lag.queue_empty_seconds or 0.0  # the estimate means nothing while the models load
    when = f", empty in about {seconds:.0f} s" if 0 < seconds < LONGEST_ESTIMATE_S else ""
    return f"lag {lag.records}{when}"


def _owners(lag: GroupLag | None) -> RenderableType:
    owned: dict[str, list[str]] = defaultdict(list)
    for partition in lag.partitions if lag else ():
        owner = partition.owner.client_id.removeprefix(f"{partition.group}-") if partition.owner else "nobody"
        owned[owner].append(f"{partition.partition} ({partition.records})")
    table = Table.grid(padding=(0, 2))
    for owner in sorted(owned):
        table.add_row(owner, "  ".join(owned[owner]))
    return table if owned else " "


def _reasons(watch: OutcomeWatch) -> str:
    counts = Counter(failure.reason for failure in watch.dead_letters.values())
    return "   ".join(f"{reason}: {count}" for reason, count in sorted(counts.items())) or "none"
