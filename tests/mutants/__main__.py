"""Breaks the product on purpose, one fault at a time, and sees whether the tests notice.

    python -m tests.mutants [--jobs N] [--json FILE] [NAME ...]

The unbroken copy must be green first. Exits with 1 when a mutant survives, or when its edit matches no more.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

from rich.console import Console
from rich.table import Table

from tests.mutants.catalogue import Mutant, choose, read_catalogue
from tests.mutants.judging import KILLED, Judgement, Report, run_mutant, run_tests
from tests.mutants.workspace import ROOT, copy_tree

BASELINE_TIMEOUT_S = 900


def main() -> int:
    options = _parse()
    console = Console()
    try:
        mutants = choose(read_catalogue(), options.names)
    except LookupError as error:
        console.print(str(error), markup=False)
        return 2
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        trees = [copy_tree(ROOT, Path(folder) / str(number)) for number in range(options.jobs)]
        if red := red_tests(trees, mutants):
            console.print(f"the unbroken tree is red, so nothing can be judged: {', '.join(red)}", markup=False)
            return 1
        judgements = list(judge_all(trees, mutants, console))
    show(judgements, console)
    if options.json:
        options.json.write_text(json.dumps([dataclasses.asdict(each) for each in judgements], indent=2) + "\n")
    return 0 if all(each.outcome == KILLED for each in judgements) else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutants to run; all without any")
    parser.add_argument("--jobs", type=int, default=2, help="how many mutants run at once")
    parser.add_argument("--json", type=Path, help="file that gets the results")
    return parser.parse_args()


def red_tests(trees: list[Path], mutants: list[Mutant]) -> list[str]:
    """Run every test that is named, without a mutant, and return those that do not pass. The trees divide them."""
    tests = sorted({killer.test for mutant in mutants for killer in mutant.killers})
    parts = [part for number in range(len(trees)) if (part := tests[number :: len(trees)])]
    reports: dict[str, Report] = {}
    with ThreadPoolExecutor(len(parts)) as pool:
        for each in pool.map(lambda tree, part: run_tests(tree, part, BASELINE_TIMEOUT_S), trees, parts):
            reports |= each
    return [test for test in tests if test not in reports or reports[test].failure is not None]


def judge_all(trees: list[Path], mutants: list[Mutant], console: Console) -> Iterator[Judgement]:
    """Run the mutants, as many at once as there are trees; each has a tree for itself meanwhile."""
    idle: SimpleQueue[Path] = SimpleQueue()
    for tree in trees:
        idle.put(tree)

    def run(mutant: Mutant) -> Judgement:
        with borrowed(idle) as tree:
            judgement = run_mutant(tree, mutant)
        line = f"{judgement.outcome:9}{judgement.seconds:5.0f} s  {judgement.name}: {judgement.detail}"
        console.print(line, markup=False, soft_wrap=True)
        return judgement

    with ThreadPoolExecutor(len(trees)) as pool:
        yield from pool.map(run, mutants)


@contextmanager
def borrowed(idle: SimpleQueue[Path]) -> Iterator[Path]:
    tree = idle.get()
    try:
        yield tree
    finally:
        idle.put(tree)


def show(judgements: list[Judgement], console: Console) -> None:
    table = Table("mutant", "outcome", "s", "why")
    for each in judgements:
        table.add_row(each.name, each.outcome, f"{each.seconds:.0f}", each.detail)
    console.print(table)
    killed = sum(each.outcome == KILLED for each in judgements)
    console.print(f"{killed} of {len(judgements)} mutants were killed")


if __name__ == "__main__":
    raise SystemExit(main())
