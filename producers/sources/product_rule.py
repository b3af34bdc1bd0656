"""Derives the product id of an image file from its path under the folder or the S3 prefix.

`parent`: the name of the directory that holds it; for a file at the very top, its name without the suffix.
`stem`: its name without the suffix.
A number N: the N-th segment of the path, from 0; -1 is the file name, of which the suffix is dropped.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from sightstream.producers.errors import SourceError


def product_of(path: str, rule: str) -> str:
    """Return the product id. `path` is relative, with forward slashes. Raises ValueError when it lacks the segment."""
    pure = PurePosixPath(path)
    if rule == "stem" or (rule == "parent" and len(pure.parts) == 1):
        return pure.stem
    if rule == "parent":
        return pure.parts[-2]
    segments = (*pure.parts[:-1], pure.stem)
    try:
        return segments[int(rule)]
    except IndexError:
        raise ValueError(f"the path has no segment {rule} for the product id") from None


def check_rule(rule: str) -> None:
    """Raise SourceError when `rule` is not valid."""
    if not re.fullmatch(r"parent|stem|-?[0-9]{1,3}", rule):
        raise SourceError(f"{rule!r} is no product rule; write parent, stem or the number of a path segment")
