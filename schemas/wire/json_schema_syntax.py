"""Checks each schema inside a JSON Schema by itself: its keywords, their values, and that it leaves no value open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sightstream.schemas.wire.json_schema_keyword_values import pair_problem, types_of, value_problem
from sightstream.schemas.wire.json_schema_keywords import (
    ANNOTATIONS,
    DEFINITIONS,
    INSTEAD,
    KEYWORDS,
    KINDS,
    OF_TYPE,
    ROOT_ONLY,
)

MAX_ENUM_VALUES = 1000
MAX_PROPERTIES = 5000
MAX_NAME_CHARS = 64
MAX_PATH_CHARS = 400

Schema = dict[str, Any]


class SchemaProblem(ValueError):
    """A schema that cannot be used, with the place where it has to change."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


@dataclass(frozen=True, slots=True)
class Location:
    """A schema and where it stands. The path is made when it is needed: names may be long, and schemas many."""

    schema: Schema
    parent: Location | None = None
    steps: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The place as a reference would name it. Names come from the sender, so they are truncated."""
        before = "#" if self.parent is None else self.parent.path
        path = "/".join([before, *(_escaped(step[:MAX_NAME_CHARS]) for step in self.steps)])
        return path if len(path) <= MAX_PATH_CHARS else "..." + path[-MAX_PATH_CHARS:]

    def problem(self, problem: str, *steps: str) -> SchemaProblem:
        """Return the error to raise about this schema, or about what stands at `steps` in it."""
        return SchemaProblem(Location(self.schema, self, steps).path if steps else self.path, problem)


@dataclass(frozen=True, slots=True)
class ParsedSchema:
    """A schema whose parts were checked one by one. References are not followed yet."""

    root: Location
    locations: dict[int, Location]

    def children(self, location: Location) -> list[Location]:
        """Return the schemas inside this one, in the order in which an answer meets them."""
        return [self.locations[id(inner)] for _, inner in _inner_schemas(location.schema)]

    def target(self, location: Location) -> Location:
        """Return where the reference leads. Raises SchemaProblem when no schema stands there."""
        found: Any = self.root.schema
        for step in location.schema["$ref"].split("/")[1:]:
            found = _member(found, step)
        if id(found) not in self.locations:
            raise location.problem('leads to no schema; name one, such as "#/$defs/NAME"', "$ref")
        return self.locations[id(found)]


def parse_schema(schema: Schema) -> ParsedSchema:
    """Return the schema with the places of its parts; it comes from JSON, so that no part stands in two places.

    Raises SchemaProblem.
    """
    root = Location(schema)
    locations: dict[int, Location] = {}
    pending = [root]
    while pending:
        location = pending.pop()
        _check(location, is_root=location is root)
        locations[id(location.schema)] = location
        pending += _located_children(location, is_root=location is root)
    _check_counts(root, locations)
    return ParsedSchema(root, locations)


def _located_children(location: Location, *, is_root: bool) -> Iterator[Location]:
    definitions = _definitions(location.schema) if is_root else iter(())
    for steps, inner in (*_inner_schemas(location.schema), *definitions):
        if inner is True or inner == {}:
            raise location.problem("fits every value, so its answer has no end; give its type", *steps)
        if not isinstance(inner, dict):
            raise location.problem("is no schema; write an object", *steps)
        yield Location(inner, location, steps)


def _inner_schemas(schema: Schema) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, inner in schema.get("properties", {}).items():
        yield ("properties", name), inner
    for keyword in ("prefixItems", "anyOf"):
        for index, inner in enumerate(schema.get(keyword, ())):
            yield (keyword, str(index)), inner
    if schema.get("items", False) is not False:
        yield ("items",), schema["items"]


def _definitions(schema: Schema) -> Iterator[tuple[tuple[str, ...], Any]]:
    for keyword in DEFINITIONS:
        for name, inner in schema.get(keyword, {}).items():
            yield (keyword, name), inner


def _check(location: Location, *, is_root: bool) -> None:
    schema = location.schema
    _check_values(location)
    kinds = tuple(kind for kind in KINDS if kind in schema)
    if not kinds:
        raise location.problem(f"fits every value, so its answer has no end; give one of {', '.join(KINDS)}")
    if len(kinds) > 1 and kinds not in (("enum", "type"), ("const", "type")):
        raise location.problem(f"{' and '.join(kinds)} stand side by side; keep one of them")
    _check_applicable(location, _known(schema, kinds, is_root=is_root))
    if (problem := pair_problem(schema)) is not None:
        raise location.problem(problem)


def _check_values(location: Location) -> None:
    for keyword, value in location.schema.items():
        if keyword not in KEYWORDS:
            raise location.problem(f"unknown keyword; {INSTEAD.get(keyword, 'leave it out')}", keyword)
        if (problem := value_problem(keyword, value)) is not None:
            raise location.problem(problem, keyword)


def _check_applicable(location: Location, known: frozenset[str]) -> None:
    for keyword in location.schema:
        if keyword not in known:
            raise location.problem(f"does not apply here; {_where(keyword)}", keyword)


def _known(schema: Schema, kinds: tuple[str, ...], *, is_root: bool) -> frozenset[str]:
    known = ANNOTATIONS.union(KINDS, ROOT_ONLY if is_root else ())
    if kinds != ("type",):
        return known
    return known.union(*(OF_TYPE[name] for name in types_of(schema)))


def _where(keyword: str) -> str:
    if keyword in ROOT_ONLY:
        return "it stands at the top of the schema"
    types = [name for name, keywords in OF_TYPE.items() if keyword in keywords]
    return f"it stands beside a type of {' or '.join(types)}"


def _check_counts(root: Location, locations: dict[int, Location]) -> None:
    values = sum(len(location.schema.get("enum", ())) for location in locations.values())
    properties = sum(len(location.schema.get("properties", ())) for location in locations.values())
    if values > MAX_ENUM_VALUES:
        raise root.problem(f"{values} enum values are over the cap of {MAX_ENUM_VALUES}; ask in several questions")
    if properties > MAX_PROPERTIES:
        raise root.problem(f"{properties} properties are over the cap of {MAX_PROPERTIES}; ask for fewer")


def _member(node: Any, step: str) -> Any:
    if isinstance(node, dict):
        return node.get(step)
    if isinstance(node, list) and step.isascii() and step.isdecimal() and len(step) <= len(str(len(node))):
        return dict(enumerate(node)).get(int(step))
    return None


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")
