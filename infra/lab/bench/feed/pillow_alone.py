"""What Pillow alone takes to decode the same files: the least that any contestant can take."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from statistics import median

from PIL import Image


def decode_cpu_s(pictures: Sequence[bytes], rounds: int = 3, most: int = 50) -> float:
    """Median over `rounds` of the processor seconds for one of the first `most` pictures: open and load, in this
    process."""
    return median(_round(pictures[:most]) for _ in range(rounds))


def _round(pictures: Sequence[bytes]) -> float:
    started = time.process_time()
    for data in pictures:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    return (time.process_time() - started) / len(pictures)
