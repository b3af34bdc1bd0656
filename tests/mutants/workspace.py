"""A copy of the tree, in which mutants live one after the other."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.mutants.catalogue import Edit, Mutant

ROOT = Path(__file__).parents[2]


class StaleMutant(Exception):
    """The product has changed where the mutant would be: write its edit anew."""


def copy_tree(root: Path, into: Path) -> Path:
    """Copy what git knows, and what it would add, as it stands now; links stay links."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        source, target = root / name, into / name
        if source.is_symlink() or source.exists():  # not a file that was deleted and is still in the index
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    return into


def apply(text: str, edit: Edit) -> str:
    """Return the text after the edit. Raises StaleMutant unless `before` stands there exactly once."""
    if (count := text.count(edit.before)) != 1:
        raise StaleMutant(f"{edit.file} has its text {count} times: {edit.before.strip().splitlines()[0]!r}")
    return text.replace(edit.before, edit.after)


@contextmanager
def mutated(tree: Path, mutant: Mutant) -> Iterator[None]:
    """Break the tree while the block runs. Raises StaleMutant, and changes nothing then."""
    original = {edit.file: (tree / edit.file).read_text(encoding="utf-8") for edit in mutant.edits}
    changed = dict(original)
    for edit in mutant.edits:
        changed[edit.file] = apply(changed[edit.file], edit)
    try:
        _write(tree, changed)
        yield
    finally:
        _write(tree, original)


def _write(tree: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        path = tree / name
        path.write_text(text, encoding="utf-8")
        # Python tells a stale module by its size and by seconds, and two edits can agree in both.
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()
