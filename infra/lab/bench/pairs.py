"""Compares two checkouts by one figure of a benchmark's JSON, run in turn on the same machine.

    python -m sightstream.infra.lab.bench.pairs --rounds 10 \\
        --old "cd ../old && .venv/bin/sightstream bench feed --only sightstream --json {json}" \\
        --new ".venv/bin/sightstream bench feed --only sightstream --json {json}" \\
        --figure systems.sightstream.images_per_s

The machines are shared and change speed, so a round runs both, the first of them in turn, and the answer is the median
of the rounds' ratios. `{json}` stands for the file that a command writes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median


def main() -> None:
    """Prints each round and the median ratio; exits with 1 when a command fails."""
    parser = argparse.ArgumentParser(description="Compare two checkouts, run in turn.")
    parser.add_argument("--old", required=True, help="shell command of the earlier checkout")
    parser.add_argument("--new", required=True, help="shell command of the later checkout")
    parser.add_argument("--figure", required=True, help="keys of the figure in the JSON, joined by dots")
    parser.add_argument("--old-figure", help="the same for the earlier checkout, where its keys differ")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--keep", type=Path, help="folder that gets every JSON file, such as old-1.json")
    given = parser.parse_args()
    commands = {"old": (given.old, given.old_figure or given.figure), "new": (given.new, given.figure)}
    with tempfile.TemporaryDirectory() as scratch:
        ratios = compare(commands, given.rounds, given.keep or Path(scratch))
    print(f"median of {len(ratios)}: new / old = {median(ratios):.3f}")  # noqa: T201


def compare(commands: dict[str, tuple[str, str]], rounds: int, folder: Path) -> list[float]:
    """Runs both sides in every round, the first of them in turn; returns each round's new / old."""
    ratios = []
    for number in range(1, rounds + 1):
        order = ("old", "new") if number % 2 else ("new", "old")
        figures = {side: measure(*commands[side], folder.resolve() / f"{side}-{number}.json") for side in order}
        ratios.append(figures["new"] / figures["old"])
        print(f"round {number}: old {figures['old']:.4g}, new {figures['new']:.4g}, {ratios[-1]:.3f}", flush=True)  # noqa: T201
    return ratios


def measure(command: str, figure: str, file: Path) -> float:
    """Runs the command and reads the figure. Exits when the command fails or the figure is missing."""
    done = subprocess.run(  # noqa: S602 - the caller's own command
        command.replace("{json}", str(file)), shell=True, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"`{command}` failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return find(json.loads(file.read_text()), figure)


def find(document: object, figure: str) -> float:
    """The number under dotted keys; a list is searched for the element whose "name" is the key."""
    for key in figure.split("."):
        if isinstance(document, list):
            document = next((item for item in document if isinstance(item, dict) and item.get("name") == key), None)
        else:
            document = document.get(key) if isinstance(document, dict) else None
    if not isinstance(document, int | float):
        sys.exit(f"the JSON has no number at {figure}")
    return float(document)


if __name__ == "__main__":
    main()
