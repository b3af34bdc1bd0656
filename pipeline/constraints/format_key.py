"""Identifies a response format, with the order of its keys: they decide the order of the answer's."""

from __future__ import annotations

import hashlib

from sightstream.pipeline.constraints.unusable_schema import unusable
from sightstream.schemas.wire.response_format import ResponseFormat


class FormatKey:
    """A format as the key of a cache: equal to any other of the same JSON, its keys in the same order.

    Creating one raises Rejected (schema_unusable) when the format is no JSON.
    """

    __slots__ = ("digest", "response_format")

    def __init__(self, response_format: ResponseFormat) -> None:
        self.response_format = response_format
        self.digest = hashlib.sha256(json_of(response_format)).digest()

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FormatKey) and self.digest == other.digest


def json_of(response_format: ResponseFormat) -> bytes:
    """Return the format as on the wire. Raises Rejected (schema_unusable)."""
    try:
        return response_format.model_dump_json(by_alias=True).encode()
    except (ValueError, RecursionError):
        raise unusable("the schema is nested too deep, or holds what is no JSON") from None
