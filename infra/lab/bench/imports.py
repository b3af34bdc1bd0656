"""Measures imports: `python -m sightstream.infra.lab.bench.imports`, the publisher beside its own dependencies.

Each import runs in a fresh interpreter, in turn, and the fastest of the rounds counts: only noise makes one slower.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

IMPORTS = {
    "sightstream": "import sightstream",
    "its dependencies": "import pydantic_settings, confluent_kafka",
    "ImagePublisher": "from sightstream import ImagePublisher, ImageRef, ImageRequest",
}


def main() -> None:
    """Prints the seconds of each import, and the publisher's in multiples of its dependencies'."""
    parser = argparse.ArgumentParser(description="Measure imports.")
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    best = dict.fromkeys(IMPORTS, float("inf"))
    for _ in range(rounds):
        for name, statement in IMPORTS.items():
            best[name] = min(best[name], import_s(statement))
    for name, seconds in best.items():
        print(f"{name:17} {seconds:.3f} s")  # noqa: T201
    print(f"ImagePublisher / its dependencies = {best['ImagePublisher'] / best['its dependencies']:.2f}")  # noqa: T201


def import_s(statement: str) -> float:
    """Return the seconds that a fresh interpreter takes for the statement, its own start not counted."""
    code = f"import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    main()
