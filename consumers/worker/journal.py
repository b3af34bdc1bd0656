"""A file that says which requests this worker has begun, so that the next process of its name knows how it died.

A line is written before the work on a request begins and after it has ended. If the process dies without a word, as by
SIGKILL of its whole group, the lines that have no end are the requests that were in progress. The file is this
machine's own: on the wire a count would rise for healthy images at every innocent restart elsewhere. It is written to
the page cache, which outlives the processes, and not synced: after the death of the machine itself nothing is known,
and nobody is blamed.

    topic ID                                       the topic's id; of another topic's requests nothing is known
    deaths PARTITION OFFSET COMPANY ALONE UPTIME   what is known from earlier processes
    begin PARTITION OFFSET                         begun, beside others
    alone PARTITION OFFSET COUNTS                  begun with nothing else in progress; COUNTS is 0 or 1
    alive UPTIME                                   seconds since the start, now and then while one is alone
    end PARTITION OFFSET
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sightstream.consumers.worker.state_folder import StateFolder

log = logging.getLogger(__name__)

MAX_BYTES = 16 * 1024**2
MAX_LINES = 50_000
MAX_SUSPECTS = 1000
# Below this many deaths in company a request is not remembered beyond the next one: most deaths are nobody's fault.
REMEMBERED_DEATHS = 2

Offset = tuple[int, int]  # partition and offset


@dataclass(frozen=True, slots=True)
class Deaths:
    """How often this machine's worker died while it had a request: beside others, and with nothing else in progress.

    `uptime_s` is how long the process had run when it last died alone.
    """

    company: int = 0
    alone: int = 0
    uptime_s: float = 0.0


@dataclass(slots=True)
class _Contents:
    """What a file says. `alone` is the request that is in progress alone, and whether its death counts."""

    deaths: dict[Offset, Deaths]
    running: dict[Offset, None]
    alone: tuple[Offset, bool] | None = None
    uptime_s: float = 0.0


class Journal:
    """Not thread safe. `deaths` is what is known of requests that were in progress at a death."""

    def __init__(self, folder: StateFolder, name: str, topic_id: str) -> None:
        """Read what the last process left, and start a new file. Raises Fatal when the file is not ours."""
        self._folder, self._name, self._topic_id = folder, name, topic_id
        self.deaths = after_death(_parse(_read(folder, name), topic_id))
        self._running: dict[Offset, None] = {}
        self._descriptor = -1
        self._rewrite()

    def begin(self, at: Offset) -> None:
        """Record that work on a request begins, beside others."""
        self._running[at] = None
        self._write(f"begin {at[0]} {at[1]}")

    def begin_alone(self, at: Offset, counts: bool) -> None:
        """Record that work on a request begins with nothing else in progress; `counts` says if a death blames it."""
        self._running[at] = None
        self._write(f"alone {at[0]} {at[1]} {counts:d}")

    def alive(self, uptime_s: float) -> None:
        """Record that the process still runs."""
        self._write(f"alive {uptime_s:.1f}")

    def end(self, at: Offset) -> None:
        """Record that the work on a request has ended, whatever came of it."""
        self._running.pop(at, None)
        self._write(f"end {at[0]} {at[1]}")

    def forget(self, at: Offset) -> None:
        """Drop what is known of a request: it did no harm."""
        if self.deaths.pop(at, None):
            self._rewrite()

    def close(self) -> None:
        """Leave a file without anything in progress: this process ends by itself."""
        self._running.clear()
        self._rewrite()
        os.close(self._descriptor)

    def _write(self, line: str) -> None:
        self._lines += 1
        if self._lines > MAX_LINES:
            self._rewrite()
        os.write(self._descriptor, f"{line}\n".encode())

    def _rewrite(self) -> None:
        """Replace the file by one with what matters now. Until then the old one stays as it is."""
        draft = f"{self._name}.new"
        self._folder.remove(draft)
        descriptor = self._folder.open(draft, os.O_WRONLY | os.O_APPEND | os.O_EXCL)
        os.write(descriptor, "".join(f"{line}\n" for line in self._current()).encode())
        self._folder.replace(draft, self._name)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._lines = descriptor, 0

    def _current(self) -> Iterator[str]:
        yield f"topic {self._topic_id}"
        for (partition, offset), deaths in self.deaths.items():
            yield f"deaths {partition} {offset} {deaths.company} {deaths.alone} {deaths.uptime_s:.1f}"
        for partition, offset in self._running:
            yield f"begin {partition} {offset}"


def after_death(found: _Contents) -> dict[Offset, Deaths]:
    """Count the death of the process that left `found`, if it did not end by itself."""
    known = found.deaths
    if found.alone is not None:
        at, counts = found.alone
        before = known.get(at, Deaths())
        known[at] = Deaths(before.company, before.alone + counts, found.uptime_s)
    elif found.running:
        for at in found.running:
            before = known.get(at, Deaths())
            known[at] = Deaths(before.company + 1, before.alone, before.uptime_s)
        known = {at: deaths for at, deaths in known.items() if at in found.running or _is_remembered(deaths)}
    return dict(list(known.items())[-MAX_SUSPECTS:])


def _is_remembered(deaths: Deaths) -> bool:
    return deaths.alone > 0 or deaths.company >= REMEMBERED_DEATHS


def _read(folder: StateFolder, name: str) -> list[str]:
    with os.fdopen(folder.open(name, os.O_RDONLY), "rb") as file:
        return file.read(MAX_BYTES).decode("ascii", "replace").splitlines()


def _parse(lines: Iterable[str], topic_id: str) -> _Contents:
    """Return what the lines say. One that can't be read is passed over: the last may be cut."""
    found = _Contents({}, {})
    words = iter(line.split() for line in lines)
    if next(words, []) != ["topic", topic_id]:
        return found
    for line in words:
        try:
            _apply(found, line)
        except (ValueError, IndexError):
            log.warning("a line of the journal can't be read: %s", " ".join(line))
    return found


def _apply(found: _Contents, line: list[str]) -> None:
    kind, *rest = line
    if kind == "alive":
        found.uptime_s = float(rest[0])
        return
    at = (int(rest[0]), int(rest[1]))
    match kind:
        case "deaths":
            found.deaths[at] = Deaths(int(rest[2]), int(rest[3]), float(rest[4]))
        case "begin":
            found.running[at] = None
        case "alone":
            found.alone = (at, rest[2] == "1")
        case "end":
            found.running.pop(at, None)
            found.alone = None if found.alone and found.alone[0] == at else found.alone
