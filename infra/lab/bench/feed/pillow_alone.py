"""Measures Pillow alone on the same files: a lower bound for every system that decodes with it."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from statistics import median

from PIL import Image


def decode_cpu_s(photographs: Sequence[bytes], rounds: int = 3, most: int = 50) -> float:
    """Return the processor seconds per file to open and load it in this process.

    Uses the first `most` files and returns the median over `rounds`.
    """
    return median(_round(photographs[:most]) for _ in range(rounds))


def _round(photographs: Sequence[bytes]) -> float:
    started = time.process_time()
    for data in photographs:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    return (time.process_time() - started) / len(photographs)
