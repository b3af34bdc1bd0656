"""What decoding in a child costs: the CPU of parent and child together, beside Pillow's own decode of the same file.

    python -m sightstream.infra.lab.fuzz.cost [--image FILE] [--tiling SIDE] [--rounds N]

CPU seconds of the processes, not time on the clock; the two take turns, and the median of the rounds counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

from sightstream.infra.lab.bench.feed.pictures import draw
from sightstream.infra.lab.bench.feed.pillow_alone import decode_cpu_s
from sightstream.pipeline.decode.arrangement import Tiling
from sightstream.pipeline.decode.decoder import Decoder
from sightstream.pipeline.decode.settings import DecodeSettings

IMAGES_A_ROUND = 20
SIDE = 1000


def main(arguments: list[str] | None = None) -> None:
    chosen = _parser().parse_args(arguments)
    data = chosen.image.read_bytes() if chosen.image else draw(1, SIDE)[0]
    decoder = Decoder(DecodeSettings(processes=1), Tiling(chosen.tiling, 4) if chosen.tiling else None)
    try:
        sys.stdout.write(json.dumps(measure(data, decoder, chosen.rounds)) + "\n")
    finally:
        decoder.stop()


def measure(data: bytes, decoder: Decoder, rounds: int) -> dict[str, float]:
    """Milliseconds of CPU an image."""
    _decode_all(data, decoder)  # starts the child
    plain, parent, child = [], [], []
    for _ in range(rounds):
        plain.append(decode_cpu_s([data] * IMAGES_A_ROUND, rounds=1))
        started, childs = time.process_time(), _cpu_s(decoder.pids[0])
        _decode_all(data, decoder)
        parent.append((time.process_time() - started) / IMAGES_A_ROUND)
        child.append((_cpu_s(decoder.pids[0]) - childs) / IMAGES_A_ROUND)
    pillow, ours = statistics.median(plain), statistics.median(parent) + statistics.median(child)
    return {
        "file_bytes": len(data),
        "pillow_ms": round(1000 * pillow, 3),
        "parent_ms": round(1000 * statistics.median(parent), 3),
        "child_ms": round(1000 * statistics.median(child), 3),
        "ratio": round(ours / pillow, 3),
    }


def _decode_all(data: bytes, decoder: Decoder) -> None:
    for _ in range(IMAGES_A_ROUND):
        decoder.release(decoder.decode(data))


def _cpu_s(pid: int) -> float:
    """Of a process with one thread, to the nanosecond; its usual figures come in hundredths."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path, help="a JPEG, PNG or WebP file; else one of 1000 x 1000 is made")
    parser.add_argument("--tiling", type=int, help="lay out in tiles of so many pixels a side")
    parser.add_argument("--rounds", type=int, default=30)
    return parser


if __name__ == "__main__":
    main()
