"""Counts how the files of a run ended, and keeps the notable ones. Thread safe."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Tally:
    """`broken` lists the files that ended in an unexpected way, `notable` those that killed or stalled a child.

    Both kinds are copied to `folder`, if one is given.
    """

    memory_limit_bytes: int
    folder: Path | None = None
    outcomes: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    notable: list[str] = field(default_factory=list)
    peak_address_bytes: int = 0
    peak_resident_bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, outcome: str) -> None:
        with self._lock:
            self.outcomes[outcome] += 1

    def record_notable(self, name: str, data: bytes, reason: str) -> None:
        """Record a file that killed or stalled a child."""
        with self._lock:
            self.notable.append(f"{name}: {reason}")
        self._keep(name, data)

    def record_broken(self, name: str, data: bytes, reason: str) -> None:
        """Record a file that ended neither as decoded nor as rejected."""
        with self._lock:
            self.broken.append(f"{name}: {reason}")
        self._keep(name, data)

    def record_memory(self, pids: tuple[int, ...], shared_bytes: int) -> None:
        """Record the children's peaks, each over its whole life; the address space without the shared memory."""
        for pid in pids:
            peak, resident = peak_bytes(pid)
            with self._lock:
                self.peak_address_bytes = max(self.peak_address_bytes, peak - shared_bytes)
                self.peak_resident_bytes = max(self.peak_resident_bytes, resident)

    @property
    def passed(self) -> bool:
        return not self.broken and (not self.memory_limit_bytes or self.peak_address_bytes <= self.memory_limit_bytes)

    def _keep(self, name: str, data: bytes) -> None:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / name.replace("/", "_")).write_bytes(data)


def peak_bytes(pid: int) -> tuple[int, int]:
    """Return the peaks of (address space, resident memory) of a process; zeros if it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0, 0
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return _kibibytes(lines.get("VmPeak")), _kibibytes(lines.get("VmHWM"))


def _kibibytes(text: str | None) -> int:
    return 1024 * int(text.split()[0]) if text else 0
