"""Runs hostile files through the real decoder and its child processes.

    python -m sightstream.infra.lab.fuzz.decode --files 100000 --seed 1 --processes 2
    python -m sightstream.infra.lab.fuzz.decode --folder some/images        # these files, unmutated

Each file must be decoded, or rejected with a reason of the closed list, and the children's memory must stay under its
limit; else the exit code is 1. Half the files are decoded onto tiles.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from prometheus_client import REGISTRY

from sightstream.infra.lab.fuzz.mutate import mutated
from sightstream.infra.lab.fuzz.tally import Tally
from sightstream.pipeline.decode.decoder import Decoder
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.tiles import Tiling
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.dead_letter import Reason

CORPUS = Path(__file__).resolve().parents[3] / "tests" / "pipeline" / "decode" / "corpus"
TILING = Tiling(128, 4)
NOTABLE = (Reason.DECODE_CRASH, Reason.DECODE_TIMEOUT)


@dataclass(frozen=True, slots=True)
class File:
    number: int
    name: str
    data: bytes


def main(arguments: list[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    folder = options.folder or options.corpus
    if not any(path.is_file() for path in folder.rglob("*")):
        parser.error(f"no files under {folder}; name a folder that holds some")
    settings = DecodeSettings(processes=options.processes, timeout_s=options.timeout_s)
    tally = Tally(settings.memory_bytes, options.keep)
    started, deaths = time.monotonic(), _deaths()
    deadline = started + options.seconds if options.seconds else None
    run(_files(options), settings, tally, deadline)
    report = {
        "files": tally.outcomes.total(),
        "outcomes": dict(tally.outcomes.most_common()),
        "child_deaths": int(_deaths() - deaths),
        "peak_address_mib": tally.peak_address_bytes >> 20,
        "peak_resident_mib": tally.peak_resident_bytes >> 20,
        "limit_mib": settings.memory_bytes >> 20,
        "seconds": round(time.monotonic() - started, 1),
        "notable": sorted(tally.notable),
        "broken": sorted(tally.broken),
        "passed": tally.passed,
    }
    _show(report, options.json)
    return 0 if tally.passed else 1


def run(files: Iterator[File], settings: DecodeSettings, tally: Tally, deadline: float | None = None) -> None:
    """Decode all files, or as many as the deadline allows. Every child has ended when it returns."""
    decoders = Decoder(settings), Decoder(settings, TILING)
    in_time = _LockedIterator(takewhile(lambda _: deadline is None or time.monotonic() < deadline, files))
    try:
        with ThreadPoolExecutor(settings.processes) as threads:
            for worker in [threads.submit(_decode_all, in_time, decoders, tally) for _ in range(settings.processes)]:
                worker.result()
    finally:
        for decoder in decoders:
            decoder.stop()


class _LockedIterator:
    """An iterator that several threads may use."""

    def __init__(self, files: Iterator[File]) -> None:
        self._files = files
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[File]:
        return self

    def __next__(self) -> File:
        with self._lock:
            return next(self._files)


def _decode_all(files: Iterator[File], decoders: tuple[Decoder, ...], tally: Tally) -> None:
    for file in files:
        decode(file, decoders, tally)


def decode(file: File, decoders: tuple[Decoder, ...], tally: Tally) -> None:
    decoder = decoders[file.number % len(decoders)]
    try:
        pixels = decoder.decode(file.data)
        tally.count("decoded")
        if not len(pixels.buffer()):
            tally.record_broken(file.name, file.data, "decoded to nothing")
        decoder.release(pixels)
    except Rejected as error:
        reason = Reason(error.reason)
        tally.count(reason.value)
        if reason in NOTABLE:
            tally.record_notable(file.name, file.data, reason.value)
    except Exception as error:
        tally.count("broken")
        tally.record_broken(file.name, file.data, f"{type(error).__name__}: {error}")
    tally.record_memory(decoder.pids, decoder.memory.size)


def _files(options: argparse.Namespace) -> Iterator[File]:
    if options.folder is not None:
        paths = sorted(path for path in options.folder.rglob("*") if path.is_file())
        for number, path in enumerate([path for path in paths for _ in range(2)]):  # once as pixels, once on tiles
            yield File(number, str(path.relative_to(options.folder)), path.read_bytes())
        return
    seeds = [path.read_bytes() for path in sorted(options.corpus.iterdir()) if path.is_file()]
    for index in range(options.files):
        number = options.seed * 10**9 + index
        yield File(number, f"{number}", mutated(number, seeds))


def _deaths() -> float:
    return REGISTRY.get_sample_value("sightstream_decoder_restarts_total") or 0.0


def _show(report: dict[str, object], as_json: bool) -> None:
    lines = [json.dumps(report)] if as_json else [f"{name}: {value}" for name, value in report.items()]
    sys.stdout.write("\n".join(lines) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000, help="number of mutated files (default: 1000)")
    parser.add_argument("--seed", type=int, default=1, help="another seed gives other files (default: 1)")
    parser.add_argument(
        "--seconds", type=float, help="start no further file after this many seconds (default: no limit)"
    )
    parser.add_argument("--processes", type=int, default=1, help="number of decode processes (default: 1)")
    parser.add_argument("--timeout-s", type=float, default=20, help="seconds to decode one file (default: 20)")
    parser.add_argument(
        "--corpus",
        type=Path,
        default=CORPUS,
        help="folder with the valid files to mutate (default: the corpus of the tests)",
    )
    parser.add_argument("--folder", type=Path, help="folder to decode instead: all files under it, unmutated")
    parser.add_argument(
        "--keep", type=Path, help="folder to copy files to that kill or stall a child, or break the decoder"
    )
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    return parser


if __name__ == "__main__":
    sys.exit(main())
