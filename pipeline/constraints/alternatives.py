"""Counts the schemas that one value of an answer may be tried against: references multiply alternatives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]


def count_alternatives(schema: Schema) -> int:
    """Return how many schemas the check may try for one plain value, at worst.

    The schema must have passed check_json_schema, so that it does not contain itself. Each part is counted once,
    however many references lead to it.
    """
    return _Count(schema).of(schema)


class _Count:
    def __init__(self, root: Schema) -> None:
        self._root = root
        self._known: dict[int, int] = {}

    def of(self, schema: Schema) -> int:
        if id(schema) not in self._known:
            self._known[id(schema)] = self._count(schema)
        return self._known[id(schema)]

    def _count(self, schema: Schema) -> int:
        if "$ref" in schema:
            return self.of(self._target(schema["$ref"]))
        if "anyOf" in schema:
            return sum(map(self.of, schema["anyOf"]))
        return max(map(self.of, _inner(schema)), default=1)

    def _target(self, reference: str) -> Schema:
        found: Any = self._root
        for step in reference.split("/")[1:]:
            found = found[int(step)] if isinstance(found, list) else found[step]
        return found  # type: ignore[no-any-return]


def _inner(schema: Schema) -> Iterator[Schema]:
    """Yield the schemas of the values inside; each value meets one of them."""
    yield from schema.get("properties", {}).values()
    yield from schema.get("prefixItems", ())
    if isinstance(schema.get("items"), dict):
        yield schema["items"]
