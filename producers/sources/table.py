"""Turns the cells of a table's row into the fields of a request, by the names of its columns.

`uri` and `product_id`, or those that are named in their place, are needed; `request_id`, `version_id`, `sha256`,
`question`, `deadline`, `max_tokens`, `temperature`, `top_p` and `seed` are optional; `attr.NAME` becomes the attribute
NAME. Any other column is an error, unless it is ignored by name or the rest become attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sightstream.producers.errors import SourceError
from sightstream.producers.sources.columns import Columns
from sightstream.producers.sources.requests import nested

ATTRIBUTE = "attr."
OPTIONS = frozenset({"max_tokens", "temperature", "top_p", "seed"})
COLUMNS = frozenset({"uri", "request_id", "version_id", "sha256", "question", "deadline"}) | OPTIONS


def check_columns(path: Path, columns: Sequence[str], meaning: Columns) -> None:
    """Raise SourceError for columns that are missing, unknown or twice there; the message has options that may help."""
    columns = [name for name in columns if name]  # spreadsheets leave empty ones
    needed = (meaning.image, meaning.product)
    known = (COLUMNS - {"uri"}) | {*needed, *meaning.ignored}
    missing = [name for name in needed if name not in columns]
    if missing:
        hint = meaning.hint(columns, known)
        raise SourceError(f"{path}: missing columns {missing}; there are {columns}{hint}")
    unknown = [name for name in columns if name not in known and not name.startswith(ATTRIBUTE)]
    if unknown and meaning.others == "refuse":
        raise SourceError(
            f"{path}: unknown columns {unknown}; known: {sorted(known)}. "
            f"Name a column {ATTRIBUTE}NAME to pass it on as an attribute, pass on all with --attributes rest, or "
            f"leave one out with --ignore-column NAME"
        )
    if len(set(columns)) < len(columns):
        raise SourceError(f"{path}: a column occurs twice")


def row_fields(cells: Mapping[str, str], meaning: Columns) -> dict[str, Any]:
    """Return the fields of a row, of which `cells` are those that are not empty."""
    given = meaning.renamed(cells)
    fields: dict[str, Any] = {name: cell for name, cell in given.items() if name in COLUMNS - OPTIONS}
    fields["options"] = {name: cell for name, cell in given.items() if name in OPTIONS}
    ours = COLUMNS | {"product_id"}
    attributes = {name: cell for name, cell in given.items() if name not in ours}
    fields["attributes"] = {name.removeprefix(ATTRIBUTE): cell for name, cell in attributes.items()}
    fields["product_id"] = given.get("product_id", "")
    return nested(fields)
