"""Product images of distinct bytes, drawn from a seed and kept in a folder for the next run."""

from __future__ import annotations

import multiprocessing
import os
import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sightstream.infra.errors import CommandError

TILE_PX = 560
COLUMNS_AND_ROWS = {1: (1, 1), 2: (2, 1), 3: (3, 1), 4: (2, 2)}
GRAIN_PX = 2
GRAIN = (0.115, 0.8)  # 186 to 600 KB for an image of four tiles
CHUNK = 16


@dataclass(frozen=True, slots=True)
class Mix:
    """How often an image has so many tiles, by weight."""

    weights: tuple[tuple[int, float], ...] = ((4, 1.0),)

    def tiles(self, number: int, seed: int) -> int:
        """Return the tiles of the image of this number; the same for the same seed."""
        rng = random.Random(f"{seed}-{number}")  # noqa: S311 - a workload, not a secret
        return rng.choices([tiles for tiles, _ in self.weights], [weight for _, weight in self.weights])[0]

    def __str__(self) -> str:
        total = sum(weight for _, weight in self.weights)
        return ", ".join(f"{weight / total:.0%} of {tiles} tiles" for tiles, weight in self.weights)


def read_mix(text: str) -> Mix:
    """Read "4" or "1:2,4:3", tiles and their weight. Raises CommandError."""
    weights = []
    for entry in text.split(","):
        tiles, _, weight = entry.partition(":")
        try:
            weights.append((int(tiles), float(weight or 1)))
        except ValueError:
            weights.append((0, 0.0))
    if any(tiles not in COLUMNS_AND_ROWS or weight <= 0 for tiles, weight in weights):
        raise CommandError(f"the mix {text!r} is not TILES:WEIGHT,..., with 1 to 4 tiles and weights above 0")
    return Mix(tuple(weights))


def draw_images(folder: Path, numbers: Sequence[int], mix: Mix, seed: int) -> list[Path]:
    """Return the files of these numbers, in order; draws on all cores those that the folder does not have. Blocks."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{seed}-{number}-{mix.tiles(number, seed)}.jpg" for number in numbers]
    missing = [file for file in files if not file.exists()]
    if missing:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(os.cpu_count() or 1, len(missing)), mp_context=context) as pool:
            list(pool.map(partial(draw, seed=seed), missing, chunksize=CHUNK))
    return files


def draw(file: Path, seed: int) -> None:
    """Write the image that the file's name describes; whole, or not at all."""
    from sightstream.infra.lab.bench.engine.photographs import photograph

    _, number, tiles = file.stem.split("-")
    columns, rows = COLUMNS_AND_ROWS[int(tiles)]
    unique = seed * 10_000_000 + int(number)
    grain = random.Random(unique).uniform(*GRAIN)  # noqa: S311 - a workload, not a secret
    draft = file.with_suffix(f".{os.getpid()}")
    draft.write_bytes(photograph(unique, columns * TILE_PX, rows * TILE_PX, grain, GRAIN_PX))
    draft.replace(file)
