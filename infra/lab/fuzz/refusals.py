"""Lists the pictures that we refuse and another reader shows, such as those with damage beside their pixels.

    python -m sightstream.infra.lab.fuzz.refusals FOLDER...      # the test images of Pillow, libvips, libpng, image-rs

Every file of our formats is decoded as a worker would. What is refused is given to the other reader: FFmpeg, which
shares no decoder with ours but that of WebP and AV1. Prints each such file with our reason; nothing about damage can be
told from a file that FFmpeg does not show either.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from sightstream.pipeline.decode.decoder import Decoder
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.image_formats import format_of


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    options = parser.parse_args(arguments)
    outcomes: Counter[str] = Counter()
    decoder = Decoder(DecodeSettings(processes=1))
    try:
        for path in _files(options.folders):
            data = path.read_bytes()
            if format_of(data) is None:
                continue
            refusal = _refusal(decoder, data)
            outcome = "decoded" if refusal is None else "shown elsewhere" if shows(data) else "refused by both"
            outcomes[outcome] += 1
            if outcome == "shown elsewhere":
                sys.stdout.write(f"{path}: {refusal}\n")
    finally:
        decoder.stop()
    sys.stdout.write(json.dumps(outcomes) + "\n")
    return 0


def _files(folders: list[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(path for path in folder.rglob("*") if path.is_file())


def _refusal(decoder: Decoder, data: bytes) -> str | None:
    try:
        decoder.release(decoder.decode(data))
    except Rejected as error:
        return str(error)
    return None


def shows(data: bytes) -> bool:
    """Return whether FFmpeg decodes a picture of the file."""
    import av

    try:
        with av.open(io.BytesIO(data), "r") as container:
            return next(container.decode(video=0), None) is not None
    except (av.FFmpegError, IndexError, ValueError):
        return False


if __name__ == "__main__":
    sys.exit(main())
