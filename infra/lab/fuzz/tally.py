"""What came of the files of a run. Thread safe."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Tally:
    """`broken` names the files that ended as none may; the worst of them are kept in `folder`, where there is one."""

    memory_limit: int
    folder: Path | None = None
    outcomes: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    notable: list[str] = field(default_factory=list)
    peak_address_bytes: int = 0
    peak_resident_bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ended(self, outcome: str) -> None:
        with self._lock:
            self.outcomes[outcome] += 1

    def note(self, name: str, data: bytes, why: str) -> None:
        """A file worth a look: it killed or stalled a child."""
        with self._lock:
            self.notable.append(f"{name}: {why}")
        self._keep(name, data)

    def broke(self, name: str, data: bytes, why: str) -> None:
        with self._lock:
            self.broken.append(f"{name}: {why}")
        self._keep(name, data)

    def memory(self, pids: tuple[int, ...], shared_bytes: int) -> None:
        """Looks at the children's peaks, which are those of their whole lives, the shared memory left out."""
        for pid in pids:
            peak, resident = _peaks(pid)
            with self._lock:
                self.peak_address_bytes = max(self.peak_address_bytes, peak - shared_bytes)
                self.peak_resident_bytes = max(self.peak_resident_bytes, resident)

    @property
    def passed(self) -> bool:
        return not self.broken and (not self.memory_limit or self.peak_address_bytes <= self.memory_limit)

    def _keep(self, name: str, data: bytes) -> None:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / name.replace("/", "_")).write_bytes(data)


def _peaks(pid: int) -> tuple[int, int]:
    """(address space, resident) in bytes; zeros for a child that is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0, 0
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return _kibibytes(lines.get("VmPeak")), _kibibytes(lines.get("VmHWM"))


def _kibibytes(text: str | None) -> int:
    return 1024 * int(text.split()[0]) if text else 0
