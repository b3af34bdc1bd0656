"""Builds JSON that fits a schema without any model: for the simulated engine, which must cost next to nothing."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from sightstream.pipeline.engine.pattern_instance import text_for_pattern

Schema = dict[str, Any]

# Below this depth only what a schema requires is built, so that one that contains itself ends.
LUSH_DEPTH = 4
MAX_DEPTH = 64
WORDS = ("red", "blue", "mug", "box", "round", "small", "with a handle", "on white", "grün", "青い")

_FORMATS = {
    "date": "2024-05-1{}",
    "time": "12:30:0{}Z",
    "date-time": "2024-05-17T12:30:0{}Z",
    "duration": "P{}D",
    "email": "shop{}@example.org",
    "hostname": "shop{}.example.org",
    "ipv4": "192.0.2.{}",
    "ipv6": "2001:db8::{}",
    "uri": "https://example.org/{}",
    "uuid": "12345678-1234-4234-8234-12345678901{}",
}


class SchemaInstance:
    """One value of a schema; each seed has its own. The same seed and schema always have the same value."""

    def __init__(self, schema: Schema, seed: str) -> None:
        self._root, self._seed = schema, seed

    def value(self) -> Any:
        """Return the value, its properties in the schema's order. Raises ValueError where none was found."""
        return self._value(self._root, "", 0)

    def _value(self, schema: Any, path: str, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise ValueError(f"no value of this schema has {MAX_DEPTH} levels or fewer")
        schema = self._resolved(schema) if isinstance(schema, dict) else {}
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][self._below(path, len(schema["enum"]))]
        for name in ("anyOf", "oneOf"):
            if schema.get(name):
                return self._value(self._alternative(schema[name], path, depth), path, depth + 1)
        return self._typed(schema, path, depth)

    def _resolved(self, schema: Schema) -> Schema:
        """Follow references within the document, and join `allOf`."""
        for _ in range(MAX_DEPTH):
            if isinstance(schema.get("$ref"), str):
                schema = _looked_up(self._root, schema["$ref"])
            elif schema.get("allOf"):
                schema = _joined([schema | {"allOf": None}, *(self._resolved(each) for each in schema["allOf"])])
            else:
                return schema
        raise ValueError("a reference leads back to itself")

    def _alternative(self, alternatives: list[Any], path: str, depth: int) -> Any:
        plain = [each for each in alternatives if "$ref" not in str(each)]
        usable = plain if plain and depth >= LUSH_DEPTH else alternatives
        return usable[self._below(f"{path}|{depth}", len(usable))]

    def _typed(self, schema: Schema, path: str, depth: int) -> Any:
        kinds = schema.get("type", _implied_type(schema))
        kind = kinds[self._below(f"{path}:", len(kinds))] if isinstance(kinds, list) else kinds
        if kind == "object":
            return {
                name: self._value(inner, f"{path}/{name}", depth + 1)
                for name, inner in self._properties(schema, path, depth)
            }
        if kind == "array":
            items = enumerate(self._items(schema, path, depth))
            return [self._value(inner, f"{path}/{index}", depth + 1) for index, inner in items]
        if kind in ("integer", "number"):
            return self._number(schema, path, whole=kind == "integer")
        return self._text(schema, path) if kind == "string" else {"boolean": self._below(path, 2) == 1}.get(kind)

    def _properties(self, schema: Schema, path: str, depth: int) -> Iterator[tuple[str, Any]]:
        properties, required = schema.get("properties") or {}, schema.get("required") or []
        further = schema.get("additionalProperties", {})
        named = [*properties, *(name for name in required if name not in properties)]
        least = schema.get("minProperties", 0)
        named += [f"key{number}" for number in range(least - len(named))]
        for name in named:
            is_wanted = depth < LUSH_DEPTH and self._below(f"{path}?{name}", 4) > 0
            if is_wanted or name in required or least:
                yield name, properties.get(name, further)

    def _items(self, schema: Schema, path: str, depth: int) -> list[Any]:
        first, further = list(schema.get("prefixItems") or []), schema.get("items", {})
        least = max(schema.get("minItems", 0), len(first))
        most = schema.get("maxItems", least + 3) if further is not False else len(first)
        count = least if depth >= LUSH_DEPTH else least + self._below(f"{path}#", max(0, min(most - least, 3)) + 1)
        return (first + [further] * count)[:count]

    def _number(self, schema: Schema, path: str, *, whole: bool) -> int | float:
        low, high = _bounds(schema, whole=whole)
        step = schema.get("multipleOf") or (1 if whole or math.ceil(low) <= math.floor(high) else None)
        if step is None:
            return (low + high) / 2
        exact = Fraction(repr(step))
        exact = Fraction(exact.numerator) if whole else exact  # multiples of 5/2 that are whole are those of 5
        first, last = math.ceil(Fraction(repr(low)) / exact), math.floor(Fraction(repr(high)) / exact)
        number = (first + self._below(path, max(0, min(last - first, 99)) + 1)) * exact
        return int(number) if number.denominator == 1 else float(number)

    def _text(self, schema: Schema, path: str) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]].format(self._below(path, 9) + 1)
        if isinstance(schema.get("pattern"), str):
            return text_for_pattern(schema["pattern"], lambda step, count: self._below(f"{path}~{step}", count))
        text = WORDS[self._below(path, len(WORDS))]
        least = schema.get("minLength", 0)
        most: int = schema.get("maxLength", max(least, len(text)))
        padded: str = text + "." * (least - len(text))
        return padded[:most]

    def _below(self, path: str, count: int) -> int:
        """Return a number from 0 to `count` - 1 that only the seed and the path decide."""
        digest = hashlib.blake2b(f"{self._seed}{path}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big") % count


def _looked_up(root: Any, reference: str) -> Schema:
    found = root
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        found = found[int(name)] if isinstance(found, list) else found[name]
    if not isinstance(found, dict):
        raise ValueError("a reference names no schema")
    return found


def _joined(schemas: list[Schema]) -> Schema:
    joined: Schema = {}
    for schema in schemas:
        both = {
            "properties": (joined.get("properties") or {}) | (schema.get("properties") or {}),
            "required": [*(joined.get("required") or ()), *(schema.get("required") or ())],
        }
        joined |= schema | {name: value for name, value in both.items() if value}
    return joined | {"allOf": None}


def _implied_type(schema: Schema) -> str:
    if "properties" in schema or "required" in schema or "additionalProperties" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    return "number" if "minimum" in schema or "maximum" in schema else "string"


_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


def _bounds(schema: Schema, *, whole: bool) -> tuple[float, float]:
    """Return the least and the greatest number that a schema allows; where it does not say, some 100 apart."""
    low, high = schema.get("minimum"), schema.get("maximum")
    known = [schema[name] for name in _BOUNDS if schema.get(name) is not None]
    gap = 1 if whole else min(1e-3, (max(known, default=0) - min(known, default=0)) / 4 or 1e-3)
    if schema.get("exclusiveMinimum") is not None:
        low = max(schema["exclusiveMinimum"] + gap, schema["exclusiveMinimum"] if low is None else low)
    if schema.get("exclusiveMaximum") is not None:
        high = min(schema["exclusiveMaximum"] - gap, schema["exclusiveMaximum"] if high is None else high)
    if low is None:
        low = 0 if high is None or high >= 0 else high - 99
    return low, low + 99 if high is None else high
