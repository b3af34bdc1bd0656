"""Measures the CPU time of decoding in a child process, relative to Pillow's own decode of the same file.

    python -m sightstream.infra.lab.fuzz.cost [--image FILE] [--tiling SIDE] [--rounds N]

It compares CPU seconds of parent and child together, not wall-clock time. The two sides alternate, and the median of
the rounds counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

from sightstream.infra.lab.bench.feed.photographs import make_photographs
from sightstream.infra.lab.bench.feed.pillow_alone import decode_cpu_s
from sightstream.pipeline.decode.decoder import Decoder
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.tiles import Tiling

IMAGES_PER_ROUND = 20
SIDE = 1000


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    data = options.image.read_bytes() if options.image else make_photographs(1, SIDE)[0]
    decoder = Decoder(DecodeSettings(processes=1), Tiling(options.tiling, 4) if options.tiling else None)
    try:
        sys.stdout.write(json.dumps(measure(data, decoder, options.rounds)) + "\n")
    finally:
        decoder.stop()


def measure(data: bytes, decoder: Decoder, rounds: int) -> dict[str, float]:
    """Return milliseconds of CPU per image."""
    _decode_all(data, decoder)  # starts the child
    alone, parent, child = list[float](), list[float](), list[float]()
    for _ in range(rounds):
        alone.append(decode_cpu_s([data] * IMAGES_PER_ROUND, rounds=1))
        started, child_started = time.process_time(), _cpu_s(decoder.pids[0])
        _decode_all(data, decoder)
        parent.append((time.process_time() - started) / IMAGES_PER_ROUND)
        child.append((_cpu_s(decoder.pids[0]) - child_started) / IMAGES_PER_ROUND)
    pillow, ours = statistics.median(alone), statistics.median(parent) + statistics.median(child)
    return {
        "file_bytes": len(data),
        "pillow_ms": round(1000 * pillow, 3),
        "parent_ms": round(1000 * statistics.median(parent), 3),
        "child_ms": round(1000 * statistics.median(child), 3),
        "ratio": round(ours / pillow, 3),
    }


def _decode_all(data: bytes, decoder: Decoder) -> None:
    for _ in range(IMAGES_PER_ROUND):
        decoder.release(decoder.decode(data))


def _cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process with one thread, to the nanosecond; other counters have steps of 10 ms."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--image", type=Path, help="JPEG, PNG or WebP file to decode (default: a generated JPEG of 1000 x 1000)"
    )
    parser.add_argument(
        "--tiling", type=int, help="scale onto tiles with this many pixels per side (default: decode to pixels)"
    )
    parser.add_argument("--rounds", type=int, default=30, help="rounds to take the median of (default: 30)")
    return parser


if __name__ == "__main__":
    main()
