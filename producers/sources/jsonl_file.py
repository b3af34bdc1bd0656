"""A JSONL file: one request a line.

A line is an `ImageRequest` as it stands on the wire, of which only `image` (or `uri`, `version_id`, `sha256` beside
the rest) and the product field (`product_id` unless told otherwise) are needed. Empty lines are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sightstream.producers.sources.item import Item
from sightstream.producers.sources.lines import LineError, Lines
from sightstream.producers.sources.requests import nested


class JsonlFile:
    """Streams: one line in memory at a time. A broken line becomes an item with a problem."""

    def __init__(self, path: Path, product_column: str = "product_id") -> None:
        self.location = path.resolve().as_uri()
        self.size: int | None = path.stat().st_size
        self._path = path
        self._product_column = product_column

    def items(self) -> Iterator[Item]:
        with self._path.open("rb") as file:
            lines = Lines(file)
            while (item := self._next(lines)) is not None:
                yield item

    def _next(self, lines: Lines) -> Item | None:
        fields: dict[str, Any] = {}
        problem: str | None = None
        try:
            line = next(lines)
            while not line.strip():
                lines.skip()
                line = next(lines)
            fields = self._fields(line)
        except StopIteration:
            return None
        except RecursionError:
            problem = "nested too deep"
        except (LineError, ValueError) as error:
            problem = str(error)
        place, raw, size = lines.consumed()
        return Item(place, raw, fields, problem, size)

    def _fields(self, line: str) -> dict[str, Any]:
        given = json.loads(line, object_pairs_hook=_unique_keys)
        if not isinstance(given, dict):
            raise ValueError("the line is not a JSON object")
        if self._product_column != "product_id":
            given["product_id"] = given.pop(self._product_column, "")
        return nested(given)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found
