"""Schemas that were made to cost time, memory or a connection, or to be read in two ways."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def _object(**properties: Any) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _text(pattern: str, **more: Any) -> Schema:
    return {"type": "string", "pattern": pattern, **more}


def _references(kind: str, depth: int, width: int) -> Schema:
    """Each level refers to the next one several times: width to the power of depth when written out."""
    definitions: Schema = {f"a{depth}": {"type": "string"}}
    for level in range(depth):
        next_ones = [{"$ref": f"#/$defs/a{level + 1}"}] * width
        inner = (
            {"anyOf": next_ones} if kind == "anyOf" else _object(**{f"p{i}": each for i, each in enumerate(next_ones)})
        )
        definitions[f"a{level}"] = inner
    return {"$ref": "#/$defs/a0", "$defs": definitions}


def _nested(depth: int, **array: Any) -> Schema:
    schema: Schema = {"type": "integer"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema, **array} if array else _object(a=schema)
    return schema


def _many(count: int, schema: Schema) -> Schema:
    return _object(**{f"a{i}": schema for i in range(count)})


def hostile_schemas(url: str) -> dict[str, Schema]:
    """Return the schemas by what they try; `url` leads to a port that counts connections."""
    recursive = {"$ref": "#/$defs/a", "$defs": {"a": _object(x={"$ref": "#/$defs/a"})}}
    numbers = {f"a{i}": {"type": "number", "minimum": i / 7, "maximum": i * 1e3 + 0.123} for i in range(700)}
    schemas: dict[str, Schema] = {
        "references of objects": _references("object", 8, 10),
        "references of alternatives": _references("anyOf", 9, 10),
        "a long chain of references": _references("anyOf", 60, 3),
        "recursion": recursive,
        "recursion through an array": {
            "$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}},
        "a reference to itself": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}},
        "a reference to the root": {"type": "array", "items": {"$ref": "#"}},
        "a remote reference": {"$ref": url},
        "a remote reference inside": _object(a={"$ref": f"{url}/schema.json#/$defs/a"}),
        "a file": {"$ref": "file:///etc/passwd"},
        "a remote base": {"$id": url, "$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}},
        "a remote dialect": {"$schema": url, "type": "string"},
        "a remote vocabulary": {"$vocabulary": {url: True}, "type": "string"},
        "a dynamic reference": {"$dynamicRef": url},
        "a relative reference": {"$ref": "other.json"},
        "a reference out of the schema": {"$ref": "#/../../x"},
        "nothing": {},
        "everything": {"type": ["object", "array", "string", "number", "boolean", "null"]},
        "any object": {"type": "object"},
        "any list": {"type": "array"},
        "any property": {"type": "object", "additionalProperties": True, "properties": {"a": {"type": "string"}}},
        "properties by pattern": {"type": "object", "patternProperties": {"^(a+)+$": {"type": "string"}}},
        "not": {"not": {"type": "string"}},
        "conditions": {"if": {"type": "string"}, "then": {"type": "string"}},
        "overlapping alternatives": {"oneOf": [{"type": "string"}, {"type": "string"}]},
        "a contradiction": {"allOf": [{"type": "string"}, {"type": "integer"}]},
        "unique items": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True, "maxItems": 9},
        "x-guidance": {"type": "string", "x-guidance": {"whitespace_flexible": True}},
        "nested objects": _nested(200),
        "nested lists": _nested(1000, minItems=1),
        "a list of lists of lists": _nested(9, minItems=4096, maxItems=4096),
        "a giant list": {"type": "array", "items": {"type": "integer"}, "minItems": 10**9},
        "a giant list of texts": {"type": "array", "items": {"type": "string", "minLength": 9999}, "minItems": 4096},
        "a giant text": {"type": "string", "minLength": 10**12},
        "long texts": _many(100, {"type": "string", "minLength": 1, "maxLength": 65_536}),
        "a giant number": {"type": "integer", "maximum": 10**400},
        "an infinite number": {"type": "number", "maximum": float("inf")},
        "no number": {"type": "number", "maximum": float("nan")},
        "a prime step": {"type": "integer", "multipleOf": 9_007_199_254_740_881},
        "a tiny step": {"type": "number", "multipleOf": 1e-300},
        "a step of zero": {"type": "integer", "multipleOf": 0},
        "many ranges": _object(**numbers),
        "catastrophic": _text("^(a+)+$"),
        "catastrophic alternatives": _text("^(a|a)*$"),
        "catastrophic stars": _text("^(.*a){25}$"),
        "a blown-up automaton": _text("^[ab]*a[ab]{900}$"),
        "repeated repetition": _text("^((x{1,100}){1,100}){1,100}$"),
        "a million letters": _text("^(a{1000}){1000}$"),
        "optional letters": _text("^(a?){900}a{900}$"),
        "letters of all scripts": _text(r"^\p{L}{1,900}$"),
        "a pattern and a length": _text("^(a|b)*abb(a|b)*$", minLength=1000, maxLength=60_000),
        "many patterns": _object(**{f"a{i}": _text(f"^(.*{i}){{3}}$") for i in range(300)}),
        "looking behind": _text("(?<=a)b"),
        "a back reference": _text(r"^(a*)\1$"),
        "a broken pattern": _text("^(a"),
        "a pattern of NUL": _text("^\x00+$"),
        "an unknown format": {"type": "string", "format": "regex"},
        "many properties": _many(5001, {"type": "integer"}),
        "many properties of one kind": _many(1900, {"type": "integer"}),
        "many optional properties": {"type": "object", "properties": {f"a{i}": {"type": "null"} for i in range(2500)}},
        "a thousand optional ones": {"type": "object", "properties": {f"a{i}": {"type": "null"} for i in range(1000)}},
        "optional objects": {"type": "object", "properties": {f"a{i}": {"type": "object", "properties": {
            f"b{j}": {"type": ["string", "null", "number", "boolean"]} for j in range(30)}} for i in range(35)}},
        "many values": {"enum": [f"value {i}" for i in range(1001)]},
        "no value": {"enum": []},
        "a long value": {"const": "x" * 65_000},
        "long values": {"enum": ["x" * 60 + str(i) for i in range(900)]},
        "long names": _object(**{"x" * 600 + str(i): {"type": "integer"} for i in range(99)}),
        "the same alternative": {"anyOf": [_object(a={"type": "string"}, b={"type": "integer"})] * 400},
        "alternatives of one beginning": {"anyOf": [
            {"type": "array", "prefixItems": [{"type": "integer"}] * i, "items": False, "minItems": i}
            for i in range(1, 70)]},
        "properties that are none": {"type": "object", "properties": ["a"]},
        "a type that is none": {"type": {"a": 1}},
        "half a surrogate pair": {"const": "\ud800"},
    }  # fmt: skip
    return schemas
