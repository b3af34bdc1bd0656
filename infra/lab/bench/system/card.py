"""What the driver says of the cards once a second: memory in use, and the share of time in which any kernel ran."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from dataclasses import dataclass

QUERY = ("--query-gpu=index,memory.used,utilization.gpu", "--format=csv,noheader,nounits", "-lms", "1000")


@dataclass(frozen=True, slots=True)
class CardSample:
    """`busy` is NVML's figure for the last second, 0 to 1."""

    at: float
    card: int
    used_bytes: int
    busy: float


class CardWatch:
    """Samples on a thread of its own until it is left; none where there is no nvidia-smi."""

    def __init__(self) -> None:
        self.samples: list[CardSample] = []
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> CardWatch:
        if program := shutil.which("nvidia-smi"):
            self._process = subprocess.Popen([program, *QUERY], stdout=subprocess.PIPE, text=True)
            threading.Thread(target=self._read, name="card-watch", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def _read(self) -> None:
        assert self._process is not None  # noqa: S101
        for line in self._process.stdout or ():
            if (sample := card_sample(line, time.monotonic())) is not None:
                self.samples.append(sample)


def card_sample(line: str, at: float) -> CardSample | None:
    """Read one line; None for one that is not about a card."""
    try:
        card, mebibytes, percent = (int(part) for part in line.split(","))
    except ValueError:
        return None
    return CardSample(at, card, mebibytes * 1024**2, percent / 100)
