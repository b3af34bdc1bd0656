"""Makes random JSON Schemas of the kinds that answers are asked in: nested, long enums, optional fields, any script."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]

MAX_DEPTH = 4
ALPHABETS = (
    "abcdefghij",
    "Größe ß",
    "色赤青緑黒",
    "цвет",
    "👍🏽🎨🧵",
    "\"\\/'{}[]:,",
    " \t\n",
    "اللون",
    "e\u0301a\u0308",
)
PATTERNS = (
    "^[A-Z]{3}-[0-9]{4}$",
    "^(red|blue|green)( (light|dark))?$",
    "^(a+)+$",
    r"^\d{1,3}([.,]\d{2})? (EUR|USD|€)$",
    "^[^0-9]{2,6}$",
    "^#[0-9a-fA-F]{6}$",
    "sale",
    "^[äöüß]+x?",
    r"^\w+ \w+$",
    '^"[a-z]*"$',
)
FORMATS = ("date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri")


class RandomSchemas:
    """Makes schemas, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - the same schemas for the same seed

    def next(self) -> Schema:
        """Return another schema; most are objects, as in practice, and some refer to a definition."""
        rng = self._random
        schema = self._object(MAX_DEPTH) if rng.random() < 0.8 else self._any(MAX_DEPTH)
        if rng.random() < 0.2:
            return {"$defs": {"part": self._any(2)}, "type": "object", **self._with_references(schema)}
        return schema

    def _with_references(self, schema: Schema) -> Schema:
        reference = {"$ref": "#/$defs/part"}
        properties = {"part": reference, "parts": {"type": "array", "items": reference, "maxItems": 2}}
        inner = {"inner": schema} if self._random.random() < 0.5 else {}
        return {"properties": properties | inner, "required": ["part"]}

    def _any(self, depth: int) -> Schema:
        kinds: list[Callable[[int], Schema]] = [
            self._text, self._number, self._enum, self._const, self._plain, self._nullable
        ]  # fmt: skip
        if depth > 0:
            kinds += [self._object, self._array, self._either, self._object]
        return self._random.choice(kinds)(depth)

    def _object(self, depth: int) -> Schema:
        names = list({self._words(1, 8) or "x": None for _ in range(self._random.randint(1, 6))})
        properties = {name: self._described(self._any(depth - 1)) for name in names}
        required = [name for name in names if self._random.random() < 0.6]
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}

    def _described(self, schema: Schema) -> Schema:
        return schema | {"description": self._words(1, 20)} if self._random.random() < 0.2 else schema

    def _array(self, depth: int) -> Schema:
        rng = self._random
        if rng.random() < 0.25:
            first = [self._any(depth - 1) for _ in range(rng.randint(1, 3))]
            return {"type": "array", "prefixItems": first, "items": False, "minItems": rng.randint(0, len(first))}
        least = rng.randint(0, 3)
        bounds = {} if rng.random() < 0.3 else {"minItems": least, "maxItems": least + rng.randint(0, 4)}
        return {"type": "array", "items": self._any(depth - 1), **bounds}

    def _either(self, depth: int) -> Schema:
        return {"anyOf": [self._any(depth - 1) for _ in range(self._random.randint(1, 3))]}

    def _text(self, _: int) -> Schema:
        rng = self._random
        kind = rng.random()
        if kind < 0.2:
            return {"type": "string", "pattern": rng.choice(PATTERNS)}
        if kind < 0.35:
            return {"type": "string", "format": rng.choice(FORMATS)}
        least = rng.randint(0, 4)
        return {"type": "string", "minLength": least, "maxLength": least + rng.randint(0, 30)}

    def _number(self, _: int) -> Schema:
        rng = self._random
        schema: Schema = {"type": rng.choice(["integer", "number"])}
        low = rng.choice([0, -1, 1, rng.randint(-10_000, 10_000), round(rng.uniform(-5, 5), rng.randint(0, 4)), -2e10])
        if rng.random() < 0.6:
            schema[rng.choice(["minimum", "exclusiveMinimum"])] = low
        if rng.random() < 0.6:
            schema[rng.choice(["maximum", "exclusiveMaximum"])] = low + rng.choice([2, 9, 100, 0.5 + 2, 3e10])
        if rng.random() < 0.15:
            schema["multipleOf"] = rng.choice([1, 2, 5, 10, 12])
        return schema

    def _plain(self, _: int) -> Schema:
        return {"type": self._random.choice(["boolean", "null", "integer", "number", "string"])}

    def _nullable(self, depth: int) -> Schema:
        inner = self._random.choice([self._number, self._text, self._plain])(depth)
        return inner if "null" in inner["type"] else inner | {"type": [inner["type"], "null"]}

    def _enum(self, _: int) -> Schema:
        rng = self._random
        count = rng.choice([1, 2, 3, 8, 8, 40, 400])
        values: list[Any] = [self._value(rng.random() < 0.9) for _ in range(count)]
        return {"enum": list({repr(value): value for value in values}.values())}

    def _const(self, _: int) -> Schema:
        return {"const": self._value(self._random.random() < 0.5)}

    def _value(self, is_text: bool) -> Any:
        rng = self._random
        if is_text:
            return self._words(0, 12)
        return rng.choice([
            True, None, rng.randint(-9, 9), rng.randint(-(2**50), 2**50), round(rng.uniform(-99, 99), 3), 1e-7, 0.1,
            [1, self._words(1, 4)], {"b": self._words(1, 4), "a": [None, 2.5]}, {}, [], ""
        ])  # fmt: skip

    def _words(self, least: int, most: int) -> str:
        alphabet = self._random.choice(ALPHABETS)
        return "".join(self._random.choice(alphabet) for _ in range(self._random.randint(least, most)))


def long_enum(count: int) -> Schema:
    """Return an object with a list of `count` values, as categories are."""
    names = [f"category {number} / größe {number % 7}" for number in range(count)]
    return {"type": "object", "properties": {"category": {"enum": names}}, "required": ["category"]}
