"""JSON Schemas for tests: strategies for what may be asked, and schemas that nobody should ever compile."""

from __future__ import annotations

from typing import Any, Literal

from hypothesis import strategies as st

from sightstream.schemas.wire.json_schema_keywords import DIALECT

Schema = dict[str, Any]

SURROGATES: tuple[Literal["Cs"]] = ("Cs",)
characters = st.characters(exclude_categories=SURROGATES, exclude_characters="\x00")
names = st.text(characters, min_size=1, max_size=8)
counts = st.integers(0, 3)
plain_values = st.none() | st.booleans() | st.integers(-(10**6), 10**6) | names
notes = st.fixed_dictionaries({}, optional={"title": names, "description": names, "default": plain_values})
enums = st.fixed_dictionaries({"enum": st.lists(plain_values, min_size=1, max_size=5)})
constants = st.fixed_dictionaries({"const": plain_values | st.lists(plain_values, max_size=2)})
strings = st.builds(lambda a, b: {"type": "string", "minLength": min(a, b), "maxLength": max(a, b)}, counts, counts)
numbers = st.builds(
    lambda name, a, b: {"type": name, "minimum": min(a, b), "maximum": max(a, b)},
    st.sampled_from(["integer", "number"]),
    st.integers(-100, 100),
    st.integers(-100, 100),
)
others = st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["string", "null"]}])
references = st.just({"$ref": "#/$defs/leaf"})


def merged(first: Schema, second: Schema) -> Schema:
    return first | second


leaves = st.builds(merged, notes, enums | constants | strings | numbers | others)


def objects(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    def build(properties: dict[str, Schema], optional: int, closed: bool) -> Schema:
        required = list(properties)[optional:]
        base = {"type": "object", "properties": properties, "required": required}
        return base | ({"additionalProperties": False} if closed else {})

    return st.builds(build, st.dictionaries(names, inner, min_size=1, max_size=4), counts, st.booleans())


def arrays(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    lists = st.builds(lambda items, most: {"type": "array", "items": items, "maxItems": most}, inner, counts)
    tuples = st.builds(
        lambda first: {"type": "array", "prefixItems": first, "items": False, "minItems": len(first)},
        st.lists(inner, min_size=1, max_size=3),
    )
    return lists | tuples


def alternatives(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    return st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3))


schemas = st.builds(
    lambda schema, leaf: schema | {"$defs": {"leaf": leaf}},
    st.recursive(
        leaves | references, lambda inner: objects(inner) | arrays(inner) | alternatives(inner), max_leaves=12
    ),
    leaves,
)


def valued(schema: Schema, root: Schema) -> st.SearchStrategy[Any]:
    """Values that fit the schema."""
    if "$ref" in schema:
        return valued(root["$defs"]["leaf"], root)
    if "anyOf" in schema:
        return st.one_of([valued(option, root) for option in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    return _typed(schema, root)


def _typed(schema: Schema, root: Schema) -> st.SearchStrategy[Any]:
    match schema["type"]:
        case "object":
            return _objects(schema, root)
        case "array" if "prefixItems" in schema:
            return st.tuples(*(valued(inner, root) for inner in schema["prefixItems"])).map(list)
        case "array":
            return st.lists(valued(schema["items"], root), max_size=schema["maxItems"])
        case "string":
            return st.text(characters, min_size=schema["minLength"], max_size=schema["maxLength"])
        case "integer" | "number":
            return st.integers(schema["minimum"], schema["maximum"])
    return {"boolean": st.booleans(), "null": st.none()}.get(str(schema["type"]), st.none() | names)


def _objects(schema: Schema, root: Schema) -> st.SearchStrategy[Any]:
    fields = {name: valued(inner, root) for name, inner in schema["properties"].items()}
    required = {name: fields[name] for name in schema["required"]}
    return st.fixed_dictionaries(required, optional={name: fields[name] for name in fields if name not in required})


def closed(**properties: Any) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def nested(levels: int, keyword: str = "a") -> Schema:
    schema: Schema = {"type": "string"}
    for _ in range(levels):
        schema = closed(**{keyword: schema})
    return schema


def tower(levels: int, width: int) -> Schema:
    """Definitions that each refer to the next one several times: its answer has width ** levels values."""
    definitions = {
        f"d{level}": closed(**{f"p{index}": {"$ref": f"#/$defs/d{level + 1}"} for index in range(width)})
        for level in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": definitions | {f"d{levels}": {"type": "integer"}}}


def chain(length: int) -> Schema:
    links = {f"d{index}": {"$ref": f"#/$defs/d{index + 1}"} for index in range(length)}
    return {"$ref": "#/$defs/d0", "$defs": links | {f"d{length}": {"type": "integer"}}}


STRING: Schema = {"type": "string"}
LOOP: Schema = {"a": {"anyOf": [{"$ref": "#/$defs/b"}, STRING]}, "b": {"$ref": "#/$defs/a"}}
DEEP: list[Any] = []
for _ in range(60):
    DEEP = [DEEP]
# By the words that the message has to hold.
UNUSABLE: list[tuple[str, Schema]] = [
    ("#: fits every value", {}),
    ("#/properties/a: fits every value", closed(a={})),
    ("#/properties/a: fits every value", closed(a=True)),
    ("#/properties/a: is no schema", closed(a=False)),
    ("#/items: fits every value", {"type": "array", "items": True}),
    ("#: fits every value", {"description": "anything"}),
    ("#: fits every value", {"properties": {"a": STRING}}),
    ("#: an object needs properties", {"type": "object"}),
    ("#: an object needs properties", {"type": "object", "properties": {}}),
    ("#: an array needs items", {"type": "array"}),
    ('#: write "items": false', {"type": "array", "prefixItems": [STRING]}),
    ("#/items: is no schema", {"type": "array", "items": [STRING]}),
    ("#/additionalProperties: only false", closed(a=STRING) | {"additionalProperties": True}),
    ("#/additionalProperties: only false", closed(a=STRING) | {"additionalProperties": STRING}),
    ("#: required names what", closed(a=STRING) | {"required": ["a", "b"]}),
    ("#/required: write a list of names", closed(a=STRING) | {"required": "a"}),
    ("#/required: write a list of names", closed(a=STRING) | {"required": [["a"]]}),
    ("#/properties/a/maxLen: unknown keyword; leave it out", closed(a=STRING | {"maxLen": 3})),
    ("#/properties/a~1b/x~0y: unknown keyword", closed(**{"a/b": STRING | {"x~y": 3}})),
    ("#/oneOf: unknown keyword; write anyOf", {"oneOf": [STRING]}),
    ("#/allOf: unknown keyword; write its schemas as one", {"allOf": [STRING]}),
    ("#/nullable: unknown keyword", STRING | {"nullable": True}),
    ("#/uniqueItems: unknown keyword", {"type": "array", "items": STRING, "uniqueItems": True}),
    ("#/patternProperties: unknown keyword", closed(a=STRING) | {"patternProperties": {"^(a+)+$": STRING}}),
    ("#/x-guidance: unknown keyword", STRING | {"x-guidance": {"lenient": True}}),
    ("#/$id: unknown keyword", STRING | {"$id": "http://127.0.0.1:9/schema"}),
    ("#/$dynamicRef: unknown keyword", {"$dynamicRef": "#a"}),
    ("#/$schema: leave it out", STRING | {"$schema": "http://json-schema.org/draft-07/schema#"}),
    ("#/properties/a/$schema: does not apply here", closed(a=STRING | {"$schema": DIALECT})),
    ("#/properties/a/$defs: does not apply here", closed(a=STRING | {"$defs": {}})),
    ("#/maxLength: does not apply here; it stands beside a type of string", {"type": "integer", "maxLength": 3}),
    ("#/maxLength: does not apply here", {"enum": ["a"], "maxLength": 3}),
    ("#: anyOf and type stand side by side", {"type": "string", "anyOf": [STRING]}),
    ("#: $ref and type stand side by side", {"type": "string", "$ref": "#/$defs/a", "$defs": {"a": STRING}}),
    ("#: enum and const stand", {"enum": ["a"], "const": "a"}),
    ('#/$ref: only "#/..." is followed', {"$ref": "http://127.0.0.1:9/schema"}),
    ('#/$ref: only "#/..." is followed', {"$ref": "file:///etc/passwd"}),
    ('#/$ref: only "#/..." is followed', {"$ref": "#"}),
    ('#/$ref: only "#/..." is followed', {"$ref": "#a"}),
    ('#/$ref: only "#/..." is followed', {"$ref": "#/$defs/a%20b", "$defs": {"a b": STRING}}),
    ('#/$ref: only "#/..." is followed', {"$ref": ["#/$defs/a"]}),
    ("#/$ref: leads to no schema", {"$ref": "#/$defs/a"}),
    ("#/$ref: leads to no schema", {"$ref": "#/$defs", "$defs": {"a": STRING}}),
    ("#/$ref: leads to no schema", {"$ref": "#/default", "default": STRING}),
    ("#/$ref: leads to no schema", {"$ref": "#/examples/0", "examples": [STRING]}),
    ("#/$ref: leads to no schema", {"$ref": "#/examples/00", "examples": [STRING]}),
    ("the schema contains itself", {"$ref": "#/$defs/a", "$defs": LOOP}),
    ("the schema contains itself", closed(a={"$ref": "#/properties/a"})),
    ("the schema contains itself", closed(a={"anyOf": [{"type": "null"}, {"$ref": "#/properties/a"}]})),
    ("the schema contains itself", STRING | {"$defs": LOOP}),
    ("nested deeper than 10 levels", nested(11)),
    ("nested deeper than 58 brackets", nested(40)),
    ("nested deeper than 58 brackets", STRING | {"examples": DEEP}),
    ("over 64 schemas stand within each other", chain(64)),
    ("over 64 schemas stand within each other", chain(1500)),
    ("over the cap of 65536", {"enum": ["x" * 66_000]}),
    ("1001 enum values are over the cap of 1000", {"enum": list(range(1001))}),
    ("1002 enum values", closed(a={"enum": list(range(501))}, b={"enum": list(range(501))})),
    ("#/enum: write a list", {"enum": []}),
    ("#/enum: write a list", {"enum": "ab"}),
    ("#/anyOf: write a list", {"anyOf": []}),
    ("#/type: known types", {"type": "text"}),
    ("#/type: known types", {"type": ["string", "string"]}),
    ("#/type: write a type", {"type": []}),
    ("#/type: write a type", {"type": 5}),
    ("#/type: write a type", {"type": [["string"]]}),
    ("#: a value is not of the type", {"type": "integer", "enum": [1, "2"]}),
    ("#: a value is not of the type", {"type": "integer", "const": True}),
    ("#/maxLength: write an integer", STRING | {"maxLength": 10**9}),
    ("#/maxLength: write an integer", STRING | {"maxLength": -1}),
    ("#/maxLength: write an integer", STRING | {"maxLength": True}),
    ("#/maxLength: write an integer", STRING | {"maxLength": 1.0}),
    ("#/maxItems: write an integer", {"type": "array", "items": STRING, "maxItems": 10**9}),
    ("#/maximum: write a number up to", {"type": "number", "maximum": 1e300}),
    ("#/minimum: write a number up to", {"type": "integer", "minimum": -(10**400)}),
    ("#/minimum: write a number up to", {"type": "integer", "minimum": "0"}),
    ("#/multipleOf: write a number over 0", {"type": "number", "multipleOf": 0}),
    ("#: a number among the values is over", {"enum": [[{"a": 2**53 + 1}]]}),
    ("#: minimum is over maximum", {"type": "integer", "minimum": 5, "maximum": 4}),
    ("#: minLength is over maxLength", STRING | {"minLength": 5, "maxLength": 4}),
    ("#: minItems is over the number", {"type": "array", "prefixItems": [STRING], "items": False, "minItems": 2}),
    ("#/pattern: look-around", STRING | {"pattern": "^(?=a)b$"}),
    ("#/pattern: look-around", STRING | {"pattern": "(?<!a)b"}),
    ("#/pattern: look-around", STRING | {"pattern": r"(a)\1"}),
    ("#/pattern: look-around", STRING | {"pattern": r"(?P<x>a)\k<x>"}),
    ("#/pattern: write a regular expression", STRING | {"pattern": "a" * 1001}),
    ("#/pattern: write a regular expression", STRING | {"pattern": 1}),
    ("#/format: known formats", STRING | {"format": "regex"}),
    ("#/format: known formats", STRING | {"format": ["date"]}),
    ("the character NUL", {"enum": ["a\x00"]}),
    ("the character NUL", closed(**{"\\\x00": STRING})),
]
