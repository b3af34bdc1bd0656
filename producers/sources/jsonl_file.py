"""Reads a JSONL file: one request per line.

A line is an `ImageRequest` as on the wire, of which only `image` (or `uri`, `version_id`, `sha256` at the top level)
and `product_id` are needed, under these names or those that are named in their place. Empty lines are skipped, and null
means that a field is not given. A whole number is an id, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sightstream.producers.sources.columns import OUR_NAMES, Columns, as_attribute, as_id
from sightstream.producers.sources.image_files import Skipped
from sightstream.producers.sources.item import Item
from sightstream.producers.sources.lines import LineError, Lines
from sightstream.producers.sources.requests import nested
from sightstream.schemas.wire.request import ImageRequest

_IDS = {"product_id", "request_id"}
_OF_PLAIN_VALUES = {"options", "attributes", "image"}


class JsonlFile:
    """Holds one line in memory at a time. A malformed line becomes an item with a problem."""

    def __init__(self, path: Path, meaning: Columns = OUR_NAMES, encoding: str | None = None) -> None:
        self.location = path.resolve().as_uri()
        self.skipped = Skipped()
        self.size: int | None = path.stat().st_size
        self._path = path
        self._meaning, self._encoding = meaning, encoding

    def items(self) -> Iterator[Item]:
        with self._path.open("rb") as file:
            lines = Lines(file, self._encoding)
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
        except json.JSONDecodeError as error:
            problem = f"the line is not one JSON object: {error.msg} (column {error.pos + 1})"
        except (LineError, ValueError) as error:
            problem = str(error)
        location, raw, size = lines.consumed()
        return Item(location, raw, fields, problem, size)

    def _fields(self, line: str) -> dict[str, Any]:
        given = json.loads(line, object_pairs_hook=_unique_keys)
        if not isinstance(given, dict):
            raise ValueError("the line is not a JSON object")
        given = {name: value for name, value in given.items() if value is not None}  # as pandas writes what is missing
        for name in _OF_PLAIN_VALUES & given.keys():
            if isinstance(given[name], dict):
                given[name] = {key: value for key, value in given[name].items() if value is not None}
        given = self._meaning.renamed(given)
        if self._meaning.product != "product_id":
            given.setdefault("product_id", "")
        given |= {name: as_id(given[name]) for name in _IDS & given.keys()}
        if self._meaning.others == "attributes":
            given = _with_rest_as_attributes(given)
        return nested(given)


def _with_rest_as_attributes(given: dict[str, Any]) -> dict[str, Any]:
    ours = {*ImageRequest.model_fields, "uri", "version_id", "sha256"}
    rest = {name: as_attribute(value) for name, value in given.items() if name not in ours}
    own = given.get("attributes", {})
    kept = {name: value for name, value in given.items() if name in ours}
    return {**kept, "attributes": {**rest, **own}} if isinstance(own, dict) else kept


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return found
