"""Lists the part of JSON Schema (draft 2020-12) that an answer may be asked in.

A schema stands for exactly one of: a reference, a list of alternatives, a list of values, one value, or one or several
types with the keywords of these types. Everything else has no effect on an answer, or is refused.
"""

from __future__ import annotations

DIALECT = "https://json-schema.org/draft/2020-12/schema"

# What says which values fit; a schema has one of these, and `type` may stand beside `enum` and `const`.
KINDS = ("$ref", "anyOf", "enum", "const", "type")
ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "$comment", "deprecated", "readOnly", "writeOnly"}
)
DEFINITIONS = ("$defs", "definitions")
ROOT_ONLY = frozenset({"$schema", *DEFINITIONS})

OF_TYPE: dict[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "boolean": frozenset(),
    "null": frozenset(),
}
KEYWORDS = frozenset().union(KINDS, ANNOTATIONS, ROOT_ONLY, *OF_TYPE.values())

FORMATS = frozenset(
    {"date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"}
)  # fmt: skip

# What to write instead of the keywords that people expect.
INSTEAD = {
    "oneOf": "write anyOf",
    "allOf": "write its schemas as one",
    "nullable": 'write "type": ["string", "null"], or whatever the type is',
    "not": "name what may be answered instead",
    "patternProperties": "name each property in properties",
    "additionalItems": 'write "items": false beside prefixItems',
    "$id": "only references inside the schema are followed; leave it out",
    "$anchor": 'refer to "#/$defs/NAME"',
    "$dynamicRef": 'write "$ref": "#/$defs/NAME"',
    "$recursiveRef": 'write "$ref": "#/$defs/NAME"',
}
