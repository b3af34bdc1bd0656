"""Runs hostile files through the real decoder and its child processes.

    python -m sightstream.infra.lab.fuzz.decode --files 100000 --seed 1 --processes 2
    python -m sightstream.infra.lab.fuzz.decode --folder some/images        # these very files, as they are

Each file must end as decoded, or rejected with a reason of the closed list; the children's memory must stay under its
limit. Ends with 1 when that is not so. Half the files are laid out in tiles.
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
from sightstream.pipeline.decode.arrangement import Tiling
from sightstream.pipeline.decode.decoder import Decoder
from sightstream.pipeline.decode.settings import DecodeSettings
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
    chosen = parser.parse_args(arguments)
    where = chosen.folder or chosen.corpus
    if not any(path.is_file() for path in where.rglob("*")):
        parser.error(f"no files under {where}")
    settings = DecodeSettings(processes=chosen.processes, timeout_s=chosen.timeout_s)
    tally = Tally(settings.memory_bytes, chosen.keep)
    started, deaths = time.monotonic(), _deaths()
    deadline = started + chosen.seconds if chosen.seconds else None
    run(_files(chosen), settings, tally, deadline)
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
    _show(report, chosen.json)
    return 0 if tally.passed else 1


def run(files: Iterator[File], settings: DecodeSettings, tally: Tally, deadline: float | None = None) -> None:
    """All of them, or as many as there is time for. Returns with no child left."""
    decoders = Decoder(settings), Decoder(settings, TILING)
    timely = _OneAtATime(takewhile(lambda _: deadline is None or time.monotonic() < deadline, files))
    try:
        with ThreadPoolExecutor(settings.processes) as threads:
            for worker in [threads.submit(_work, timely, decoders, tally) for _ in range(settings.processes)]:
                worker.result()
    finally:
        for decoder in decoders:
            decoder.stop()


class _OneAtATime:
    """An iterator that threads share."""

    def __init__(self, files: Iterator[File]) -> None:
        self._files = files
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[File]:
        return self

    def __next__(self) -> File:
        with self._lock:
            return next(self._files)


def _work(files: Iterator[File], decoders: tuple[Decoder, ...], tally: Tally) -> None:
    for file in files:
        decode(file, decoders, tally)


def decode(file: File, decoders: tuple[Decoder, ...], tally: Tally) -> None:
    decoder = decoders[file.number % len(decoders)]
    try:
        pixels = decoder.decode(file.data)
        tally.ended("decoded")
        if not len(pixels.buffer()):
            tally.broke(file.name, file.data, "decoded to nothing")
        decoder.release(pixels)
    except Rejected as error:
        reason = Reason(error.reason)
        tally.ended(reason.value)
        if reason in NOTABLE:
            tally.note(file.name, file.data, reason.value)
    except Exception as error:
        tally.ended("broken")
        tally.broke(file.name, file.data, f"{type(error).__name__}: {error}")
    tally.memory(decoder.pids, decoder.memory.size)


def _files(chosen: argparse.Namespace) -> Iterator[File]:
    if chosen.folder is not None:
        paths = sorted(path for path in chosen.folder.rglob("*") if path.is_file())
        for number, path in enumerate([path for path in paths for _ in range(2)]):  # once as pixels, once in tiles
            yield File(number, str(path.relative_to(chosen.folder)), path.read_bytes())
        return
    seeds = [path.read_bytes() for path in sorted(chosen.corpus.iterdir()) if path.is_file()]
    for index in range(chosen.files):
        number = chosen.seed * 10**9 + index
        yield File(number, f"{number}", mutated(number, seeds))


def _deaths() -> float:
    return REGISTRY.get_sample_value("sightstream_decoder_restarts_total") or 0.0


def _show(report: dict[str, object], as_json: bool) -> None:
    lines = [json.dumps(report)] if as_json else [f"{name}: {value}" for name, value in report.items()]
    sys.stdout.write("\n".join(lines) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, help="begin no file after so many")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--timeout-s", type=float, default=20)
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="the sound files to start from")
    parser.add_argument("--folder", type=Path, help="run all files under it, unmutated")
    parser.add_argument("--keep", type=Path, help="where to put files that kill or stall a child, or break the decoder")
    parser.add_argument("--json", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
