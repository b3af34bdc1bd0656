"""What decoding in a child costs: the CPU of parent and child together, beside Pillow's own decode of the same file.

    python -m infra.fuzz.cost [--image FILE] [--tiling SIDE] [--rounds N]

CPU seconds of the processes, not time on the clock; the two take turns, and the median of the rounds counts.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import time
from pathlib import Path

from PIL import Image

from pipeline.decode.arrangement import Tiling
from pipeline.decode.decoder import Decoder
from pipeline.decode.settings import DecodeSettings

IMAGES_A_ROUND = 20
PIXELS, BYTES = (1000, 1000), 186_000


def main(arguments: list[str] | None = None) -> None:
    chosen = _parser().parse_args(arguments)
    data = chosen.image.read_bytes() if chosen.image else photograph()
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
        plain.append(_plain(data))
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


def photograph() -> bytes:
    """Of that many pixels and about as many bytes: large shapes under fine grain, as in a photograph."""
    shapes = Image.effect_mandelbrot(PIXELS, (-2, -1.3, 0.8, 1.3), 60)
    picture = Image.merge(
        "RGB", [Image.blend(shapes, Image.effect_noise(PIXELS, 60), part) for part in (0.1, 0.14, 0.18)]
    )
    saved = (_jpeg(picture, quality) for quality in range(40, 96))
    return next((data for data in saved if len(data) >= BYTES), _jpeg(picture, 95))


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def _plain(data: bytes) -> float:
    started = time.process_time()
    for _ in range(IMAGES_A_ROUND):
        with Image.open(io.BytesIO(data), formats=["JPEG", "PNG", "WEBP"]) as image:
            image.load()
    return (time.process_time() - started) / IMAGES_A_ROUND


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
